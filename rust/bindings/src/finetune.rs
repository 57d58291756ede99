//! `numfuse.LinearHead` and its relatives. Rows and heads come as Python's own, a
//! `numfuse._finetune_work.Work`, and are read by attribute.

#![allow(clippy::too_many_arguments)] // Python passes every option by position.

use numfuse_kernels::Error;
use numfuse_kernels::finetune::{
    self as kernels, Features, Half, Head, Loss, Optimizer, Problem, Targets,
};
use numfuse_kernels::simd::Real;
use numpy::PyUntypedArray;
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::{Array, Element, Lent, by_float};
use crate::enter::enter;
use crate::errors::Outcome;

/// Python's work, its numbers read and its arrays held.
struct Given<'py> {
    features: Array<'py>,
    half: Option<String>,
    shift: Option<Array<'py>>,
    scale: Option<Array<'py>>,
    order: Option<Array<'py>>,
    heads: Vec<Head>,
    labels: Vec<Array<'py>>,
    values: Vec<Array<'py>>,
    weights: Vec<Array<'py>>,
}

impl<'py> Given<'py> {
    fn read(work: &Bound<'py, PyAny>) -> Outcome<Self> {
        let py = work.py();
        let heads = work.getattr(intern!(py, "heads"))?.try_iter()?;
        Ok(Self {
            features: required(&work.getattr(intern!(py, "features"))?)?,
            half: work.getattr(intern!(py, "half"))?.extract()?,
            shift: optional(&work.getattr(intern!(py, "shift"))?)?,
            scale: optional(&work.getattr(intern!(py, "scale"))?)?,
            order: optional(&work.getattr(intern!(py, "order"))?)?,
            heads: heads
                .map(|head| read_head(&head?))
                .collect::<Outcome<_>>()?,
            labels: arrays(&work.getattr(intern!(py, "labels"))?)?,
            values: arrays(&work.getattr(intern!(py, "values"))?)?,
            weights: arrays(&work.getattr(intern!(py, "weights"))?)?,
        })
    }

    fn problem<T: Real + Element>(&self, lent: &mut Lent) -> Result<Problem<'_, T>, Error> {
        Ok(Problem {
            features: features(lent, &self.features, self.half.as_deref())?,
            shift: slice("shift", lent, self.shift.as_ref())?,
            scale: slice("scale", lent, self.scale.as_ref())?,
            order: slice("order", lent, self.order.as_ref())?,
            heads: self.heads.clone(),
            labels: slices("labels", lent, &self.labels)?,
            values: lent.inputs("values", &self.values)?,
            weights: slices("weights", lent, &self.weights)?,
        })
    }
}

fn read_head(head: &Bound<'_, PyAny>) -> Outcome<Head> {
    let py = head.py();
    let number = |name| -> Outcome<f64> { Ok(head.getattr(name)?.extract()?) };
    let flag = |name| -> Outcome<bool> { Ok(head.getattr(name)?.extract()?) };
    let index = |name| -> Outcome<Option<usize>> { Ok(head.getattr(name)?.extract()?) };
    let loss: String = head.getattr(intern!(py, "loss"))?.extract()?;
    let optimizer: String = head.getattr(intern!(py, "optimizer"))?.extract()?;
    let labels = index(intern!(py, "labels"))?;
    let values = index(intern!(py, "values"))?;
    Ok(Head {
        outputs: head.getattr(intern!(py, "outputs"))?.extract()?,
        bias: flag(intern!(py, "bias"))?,
        loss: match loss.as_str() {
            "softmax" => Loss::Softmax,
            "sigmoid" => Loss::Sigmoid,
            "squared" => Loss::Squared,
            "huber" => Loss::Huber,
            _ => return Err(unknown("loss", loss, "softmax, sigmoid, squared or huber").into()),
        },
        targets: match (labels, values) {
            (Some(labels), None) => Targets::Labels(labels),
            (None, Some(values)) => Targets::Values(values),
            _ => {
                let given = format!("labels {labels:?} and values {values:?}");
                return Err(unknown("targets", given, "either labels or values").into());
            }
        },
        weights: index(intern!(py, "weights"))?,
        smoothing: number(intern!(py, "smoothing"))?,
        delta: number(intern!(py, "delta"))?,
        l2: number(intern!(py, "l2"))?,
        optimizer: match optimizer.as_str() {
            "none" => Optimizer::None,
            "sgd" => Optimizer::Sgd {
                momentum: number(intern!(py, "momentum"))?,
                nesterov: flag(intern!(py, "nesterov"))?,
            },
            "adamw" => Optimizer::AdamW {
                beta: [number(intern!(py, "beta1"))?, number(intern!(py, "beta2"))?],
                epsilon: number(intern!(py, "epsilon"))?,
                weight_decay: number(intern!(py, "weight_decay"))?,
            },
            _ => return Err(unknown("optimizer", optimizer, "sgd, adamw or none").into()),
        },
        clip_norm: head.getattr(intern!(py, "clip_norm"))?.extract()?,
        anchored: flag(intern!(py, "anchored"))?,
    })
}

fn unknown(argument: &'static str, given: String, allowed: &'static str) -> Error {
    Error::Value {
        argument,
        given,
        allowed,
    }
}

/// `value`, which may be of a subclass of `numpy.ndarray`: a memory map.
fn required<'py>(value: &Bound<'py, PyAny>) -> Outcome<Array<'py>> {
    let array = value.cast::<PyUntypedArray>().map_err(|_| Error::Layout {
        argument: "work",
        problem: "has something else where an array is expected; pass numpy.ndarray",
    })?;
    Ok(array.clone())
}

fn optional<'py>(value: &Bound<'py, PyAny>) -> Outcome<Option<Array<'py>>> {
    if value.is_none() {
        return Ok(None);
    }
    required(value).map(Some)
}

fn arrays<'py>(values: &Bound<'py, PyAny>) -> Outcome<Vec<Array<'py>>> {
    values.try_iter()?.map(|value| required(&value?)).collect()
}

fn features<'a, T: Real + Element>(
    lent: &mut Lent,
    array: &'a Array<'_>,
    half: Option<&str>,
) -> Result<Features<'a, T>, Error> {
    let kind = match half {
        None => return Ok(Features::Same(lent.input("features", array)?)),
        Some("float16") => Half::Float16,
        Some("bfloat16") => Half::Bfloat16,
        Some(other) => return Err(unknown("half", other.to_owned(), "float16 or bfloat16")),
    };
    let bits = lent.input("features", array)?;
    Ok(Features::Half { bits, kind })
}

fn slice<'a, T: Element>(
    argument: &'static str,
    lent: &mut Lent,
    array: Option<&'a Array<'_>>,
) -> Result<Option<&'a [T]>, Error> {
    let Some(array) = array else { return Ok(None) };
    let view = lent.input(argument, array)?;
    view.as_slice().map(Some).ok_or_else(|| scattered(argument))
}

fn slices<'a, T: Element>(
    argument: &'static str,
    lent: &mut Lent,
    arrays: &'a [Array<'_>],
) -> Result<Vec<&'a [T]>, Error> {
    let views = lent.inputs(argument, arrays)?.into_iter();
    views
        .map(|view| view.as_slice().ok_or_else(|| scattered(argument)))
        .collect()
}

fn slice_mut<'a>(
    argument: &'static str,
    lent: &mut Lent,
    array: &'a Array<'_>,
) -> Result<&'a mut [f64], Error> {
    lent.output(argument, array)?
        .into_slice()
        .ok_or_else(|| scattered(argument))
}

fn scattered(argument: &'static str) -> Error {
    Error::Layout {
        argument,
        problem: "is not in C order without gaps; pass a copy",
    }
}

/// One step for each `batch` rows of `work`, on `parameters` and `moments` in place; each step's
/// objective and Σw to `losses` and `weight_sums`.
#[pyfunction]
#[pyo3(signature = (
    work, batch, parameters, moments, anchor, rates, losses, weight_sums, threads, /
))]
pub(crate) fn finetune_epoch(
    py: Python<'_>,
    work: &Bound<'_, PyAny>,
    batch: usize,
    parameters: &Array<'_>,
    moments: &Array<'_>,
    anchor: Option<&Array<'_>>,
    rates: &Array<'_>,
    losses: &Array<'_>,
    weight_sums: &Array<'_>,
    threads: usize,
) -> Outcome {
    let given = Given::read(work)?;
    by_float!(parameters, T => {
        let mut lent = Lent::default();
        let problem = given.problem::<T>(&mut lent)?;
        let anchor = lent.optional("anchor", anchor)?;
        let rates = lent.input("rates", rates)?;
        let parameters = lent.output("parameters", parameters)?;
        let moments = lent.output("moments", moments)?;
        let losses = slice_mut("losses", &mut lent, losses)?;
        let weight_sums = slice_mut("weight_sums", &mut lent, weight_sums)?;
        enter(py, threads, |context| {
            kernels::epoch(
                &problem, batch, parameters, moments, anchor, rates, losses, weight_sums, context,
            )
        })
    })
}

/// Σ loss·w and Σw of each head of `work` to `losses` and `weight_sums`, the former's derivative by
/// `parameters` to `gradient`.
#[pyfunction]
#[pyo3(signature = (work, parameters, losses, weight_sums, gradient, threads, /))]
pub(crate) fn finetune_evaluate(
    py: Python<'_>,
    work: &Bound<'_, PyAny>,
    parameters: &Array<'_>,
    losses: &Array<'_>,
    weight_sums: &Array<'_>,
    gradient: &Array<'_>,
    threads: usize,
) -> Outcome {
    let given = Given::read(work)?;
    by_float!(parameters, T => {
        let mut lent = Lent::default();
        let problem = given.problem::<T>(&mut lent)?;
        let parameters = lent.input("parameters", parameters)?;
        let losses = slice_mut("losses", &mut lent, losses)?;
        let weight_sums = slice_mut("weight_sums", &mut lent, weight_sums)?;
        let gradient = lent.output("gradient", gradient)?;
        enter(py, threads, |context| {
            kernels::evaluate(&problem, parameters, losses, weight_sums, gradient, context)
        })
    })
}

/// The logits of `rows` of `features` to `out`.
#[pyfunction]
#[pyo3(signature = (features, half, shift, scale, rows, parameters, out, threads, /))]
pub(crate) fn finetune_logits(
    py: Python<'_>,
    features: &Array<'_>,
    half: Option<&str>,
    shift: Option<&Array<'_>>,
    scale: Option<&Array<'_>>,
    rows: Option<&Array<'_>>,
    parameters: &Array<'_>,
    out: &Array<'_>,
    threads: usize,
) -> Outcome {
    by_float!(parameters, T => {
        let mut lent = Lent::default();
        let features = self::features::<T>(&mut lent, features, half)?;
        let shift = slice("shift", &mut lent, shift)?;
        let scale = slice("scale", &mut lent, scale)?;
        let rows = slice("rows", &mut lent, rows)?;
        let parameters = lent.input("parameters", parameters)?;
        let out = lent.output("out", out)?;
        enter(py, threads, |context| {
            kernels::logits(features, shift, scale, rows, parameters, out, context)
        })
    })
}

/// Mean and deviation of each column over `rows` of `features` to `mean` and `deviation`.
#[pyfunction]
#[pyo3(signature = (features, half, rows, weights, mean, deviation, threads, /))]
pub(crate) fn finetune_moments(
    py: Python<'_>,
    features: &Array<'_>,
    half: Option<&str>,
    rows: Option<&Array<'_>>,
    weights: Option<&Array<'_>>,
    mean: &Array<'_>,
    deviation: &Array<'_>,
    threads: usize,
) -> Outcome {
    if half.is_some() {
        return column_moments::<f32>(py, features, half, rows, weights, mean, deviation, threads);
    }
    by_float!(features, T => {
        column_moments::<T>(py, features, half, rows, weights, mean, deviation, threads)
    })
}

fn column_moments<T: Real + Element + Default>(
    py: Python<'_>,
    features: &Array<'_>,
    half: Option<&str>,
    rows: Option<&Array<'_>>,
    weights: Option<&Array<'_>>,
    mean: &Array<'_>,
    deviation: &Array<'_>,
    threads: usize,
) -> Outcome {
    let mut lent = Lent::default();
    let features = self::features::<T>(&mut lent, features, half)?;
    let rows = slice("rows", &mut lent, rows)?;
    let weights = slice("weights", &mut lent, weights)?;
    let mean = slice_mut("mean", &mut lent, mean)?;
    let deviation = slice_mut("deviation", &mut lent, deviation)?;
    enter(py, threads, |context| {
        kernels::moments(features, rows, weights, mean, deviation, context)
    })
}
