"""The table: every public name against every contract of the package.

A cell is a list of tests, functions of (name, example) from `cells/`, or a sentence that says why
the contract does not concern the name or where else it is tested. `test_table.py` runs every cell,
and fails for a public name that has no row.
"""

from .cells import (
    backend,
    diffusion,
    dtypes,
    encoder,
    errors,
    finetune,
    interrupts,
    layout,
    lowrank,
    objects,
    out,
    same_bits,
    scikit,
    settings,
)

CONTRACTS = (
    "dtypes", "layout", "out", "errors", "interrupts", "settings", "backend", "same bits", "random",
    "objects", "files",
)  # fmt: skip

NO_OUT = "There is no out=: the result is a new array."
NO_RANDOM = "Nothing random: the same inputs give the same result, which `same bits` repeats."
NO_FILES = "No file is read or written."

# A function on arrays.
FUNCTION = {
    "dtypes": dtypes.ALL,
    "layout": layout.ALL,
    "out": out.ALL,
    "errors": errors.ALL,
    "interrupts": interrupts.ALL,
    "settings": settings.FUNCTION,
    "backend": backend.ALL,
    "same bits": same_bits.ALL,
    "random": NO_RANDOM,
    "objects": objects.FUNCTION,
    "files": NO_FILES,
}

# What takes no arrays: settings, errors, results.
NO_ARRAYS = {
    "dtypes": "No value array is taken.",
    "layout": "No array is taken.",
    "out": "No array is written.",
    "errors": "No argument can be wrong.",
    "interrupts": "No kernel is run.",
    "settings": "No setting has an effect on it.",
    "backend": "Nothing is computed.",
    "same bits": "Nothing is computed.",
    "random": "Nothing is random.",
    "objects": objects.CALLABLE,
    "files": NO_FILES,
}

# Draws what others have computed.
PICTURE = {
    **NO_ARRAYS,
    "dtypes": "Draws numbers of any dtype: `tests/plot`.",
    "layout": "NumPy's own: any layout is read by NumPy.",
    "errors": "What cannot be drawn is refused by name: `tests/plot`.",
    "objects": [objects.functions_pickle_by_name],
}

# The definition of right: it is what the backend "numpy" runs.
REFERENCE = {
    "dtypes": "Unchecked by design: it takes what the public function of its name has checked; that "
    "it computes in the dtype of its inputs is tested with every bound that is built on it.",
    "layout": "NumPy's own: any layout is read by NumPy.",
    "out": NO_OUT,
    "errors": "Unchecked by design: the public function of its name explains what is wrong.",
    "interrupts": "Python and NumPy calls of bounded size: the interpreter looks for signals itself.",
    "settings": "It is the backend, and runs on NumPy's threads.",
    "backend": "It is the backend: `tests/attention`, `tests/layers` and `tests/diffusion` "
    "compare the two.",
    "same bits": "Exempt, as documented: BLAS sums in an order of its own.",
    "random": NO_RANDOM,
    "objects": [objects.functions_pickle_by_name],
    "files": NO_FILES,
}

# The definition of random numbers, which the kernels repeat bit for bit.
RANDOM = {
    **REFERENCE,
    "dtypes": "Takes integers and gives the dtype that is asked for: `tests/known/test_random.py`.",
    "layout": "Takes integers, no value arrays.",
    "backend": "The kernels' bits are compared in `tests/known/test_random.py`.",
    "same bits": "Its integers and exact multiplications are compared with the kernels' bits in "
    "`tests/known/test_random.py`.",
    "random": "It is the definition; published vectors and spread: `tests/known/test_random.py`.",
}

# Heads on features, one or many.
HEAD = {
    "dtypes": finetune.DTYPES,
    "layout": finetune.LAYOUT,
    "out": NO_OUT,
    "errors": finetune.ERRORS,
    "interrupts": finetune.INTERRUPTS,
    "settings": finetune.SETTINGS,
    "backend": finetune.BACKEND,
    "same bits": "Threads are in `settings`, heads alone and side by side in "
    "`tests/finetune/test_sweep.py`, instruction sets in `tests/finetune/test_same_bits.py`.",
    "random": finetune.RANDOM,
    "objects": finetune.OBJECTS,
    "files": finetune.FILES,
}

# What the heads' kernels are compared with.
STEPS = {
    **REFERENCE,
    "backend": "It is the backend: `tests/finetune` compares the two.",
    "random": "Orders of rows are those of `numfuse.reference.random`, whose row has them.",
}

TABLE = {
    "numfuse.attention": FUNCTION,
    "numfuse.attention_weights": FUNCTION,
    "numfuse.merge_attention": {**FUNCTION, "out": NO_OUT},
    "numfuse.rotary": {**FUNCTION, "out": NO_OUT},
    "numfuse.layers.gelu": FUNCTION,
    "numfuse.layers.layer_norm": FUNCTION,
    "numfuse.compat.scaled_dot_product_attention": {**FUNCTION, "out": NO_OUT},
    "numfuse.laplacian": FUNCTION,
    "numfuse.diffuse": FUNCTION,
    # Its first axis is space: there is no batch.
    "numfuse.diffuse_image": {
        **FUNCTION,
        "layout": [
            check
            for check in layout.ALL
            if check is not layout.an_item_repeated_by_stride_zero_is_like_one_repeated_in_memory
        ],
        "same bits": [
            check for check in same_bits.ALL if check is not same_bits.same_bits_for_an_item_alone
        ],
    },
    "numfuse.Diffusion": {
        "dtypes": "`advance` is what `diffuse` calls, whose row has them; parameters are cast to "
        "the field's dtype there.",
        "layout": "As `diffuse`, which hands all of its arrays to one.",
        "out": [diffusion.advance_fills_out],
        "errors": diffusion.ERRORS,
        "interrupts": diffusion.INTERRUPTS,
        "settings": "As `diffuse`, which hands its call on to one.",
        "backend": [diffusion.both_backends_plan_the_same],
        "same bits": "As `diffuse`; what it keeps between calls changes no bit: `objects`.",
        "random": NO_RANDOM,
        "objects": diffusion.OBJECTS,
        "files": NO_FILES,
    },
    **dict.fromkeys(("numfuse.LinearHead", "numfuse.HeadSweep"), HEAD),
    "numfuse.LowRankAdapter": lowrank.ROW,
    **scikit.ROWS,
    "numfuse.ConvergenceWarning": {
        **NO_ARRAYS,
        "errors": "It is a warning; who gives it is tested in `tests/finetune`.",
        "objects": [finetune.a_warning_is_a_user_warning],
    },
    "numfuse.NotFittedError": {
        **NO_ARRAYS,
        "errors": "It is one; `errors` of LinearHead and HeadSweep raises it.",
        "objects": [finetune.an_error_of_what_is_not_fitted_is_both],
    },
    "numfuse.Plan": {**NO_ARRAYS, "objects": [diffusion.a_plan_is_a_named_tuple_to_read]},
    "numfuse.AttentionResult": {
        **NO_ARRAYS,
        "objects": [objects.attention_result_is_a_named_tuple],
    },
    "numfuse.InternalError": {
        **NO_ARRAYS,
        "errors": "It is one; `errors` of every function raises it by a panic made on purpose.",
        "objects": [objects.internal_error_is_a_runtime_error_that_pickles],
    },
    "numfuse.__version__": {
        **NO_ARRAYS,
        "objects": "A str; `settings` of show_versions compares what is printed.",
    },
    "numfuse.set_config": {
        **NO_ARRAYS,
        "errors": [settings.bad_settings_are_refused_and_change_nothing],
        "settings": settings.SET,
    },
    "numfuse.config_context": {
        **NO_ARRAYS,
        "errors": [settings.bad_settings_are_refused_and_change_nothing],
        "settings": settings.CONTEXT,
    },
    "numfuse.get_config": {**NO_ARRAYS, "settings": [settings.get_config_gives_a_copy]},
    "numfuse.show_versions": {
        **NO_ARRAYS,
        "settings": [settings.show_versions_prints_what_a_bug_report_needs],
    },
    "numfuse.models.BertEncoder": {
        "dtypes": [encoder.weights_and_results_have_the_dtype_asked_for],
        "layout": "It takes texts, no arrays.",
        "out": NO_OUT,
        "errors": [encoder.bad_texts_and_options_are_refused_by_name],
        "interrupts": "Its time is spent in NumPy's products and in functions that have this tested; "
        "between them the interpreter looks for signals.",
        "settings": [encoder.embeddings_do_not_depend_on_the_number_of_threads],
        "backend": [encoder.both_backends_agree],
        "same bits": "Exempt, as documented: its matrix products are BLAS's, which sums in another "
        "order for another number of rows.",
        "random": NO_RANDOM,
        "objects": encoder.OBJECTS,
        "files": encoder.FILES,
    },
    "numfuse.models.minilm_folder": {
        **NO_ARRAYS,
        "errors": "No argument can be wrong; an absent package is tested in `tests/models`.",
        "objects": [objects.functions_pickle_by_name],
        "files": "It says where files are, and opens none.",
    },
    "numfuse.cli.main": {
        **NO_ARRAYS,
        "errors": "Wrong arguments of the command are tested in `tests/cli`.",
        "settings": "What --threads does is tested in `tests/cli`.",
        "objects": [objects.functions_pickle_by_name],
        "files": "What it writes is tested in `tests/cli`, `tests/bench` and `tests/tour`.",
    },
    "numfuse.tour.run": {
        **NO_ARRAYS,
        "errors": "Absent libraries and folders are tested in `tests/tour`.",
        "objects": [objects.functions_pickle_by_name],
        "files": "The page that it writes is tested in `tests/tour`.",
    },
    **dict.fromkeys(
        (f"numfuse.reference.diffusion.{name}" for name in diffusion.REFERENCE_NAMES), REFERENCE
    ),
    **dict.fromkeys(
        (f"numfuse.reference.finetune.{name}" for name in finetune.REFERENCE_NAMES), STEPS
    ),
    "numfuse.plot.confusion": PICTURE,
    "numfuse.plot.field": PICTURE,
    "numfuse.plot.learning_curves": PICTURE,
    "numfuse.plot.precision_recall": PICTURE,
    "numfuse.plot.sweep": PICTURE,
    "numfuse.plot.movie": {**PICTURE, "files": "What it writes is tested in `tests/plot`."},
    "numfuse.reference.attention": REFERENCE,
    "numfuse.reference.attention_weights": REFERENCE,
    "numfuse.reference.merge_attention": REFERENCE,
    "numfuse.reference.rotary": REFERENCE,
    "numfuse.reference.gelu": REFERENCE,
    "numfuse.reference.layer_norm": REFERENCE,
    "numfuse.reference.random.below": RANDOM,
    "numfuse.reference.random.block": RANDOM,
    "numfuse.reference.random.exponential": RANDOM,
    "numfuse.reference.random.permutation": RANDOM,
    "numfuse.reference.random.philox4x32": RANDOM,
    "numfuse.reference.random.uniform": RANDOM,
}
