//! Times steps and evaluations of heads, in microseconds a step and as a rate of multiplications
//! and additions, on each level that the machine has:
//! `cargo bench -p numfuse-kernels --bench finetune [-- PART…]`, where all parts have to occur in a
//! line's level and case.

use std::env;
use std::hint::black_box;
use std::time::Instant;

use numfuse_kernels::finetune::{
    Features, Half, Head, Loss, Optimizer, Problem, Targets, epoch, evaluate,
};
use numfuse_kernels::random::Stream;
use numfuse_kernels::simd::{Level, levels};
use numfuse_kernels::view::{View, ViewMut};
use numfuse_kernels::{Context, Error};

const ROUNDS: usize = 15;
const ROWS: usize = 16_384;

/// One line of the table.
struct Case {
    name: &'static str,
    columns: usize,
    outputs: usize,
    heads: usize,
    batch: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sgd,
    AdamW,
    /// AdamW on bfloat16 features, rows as they lie.
    Halves,
    /// Objective and gradient over all rows.
    Evaluate,
}

const fn case(
    name: &'static str,
    columns: usize,
    outputs: usize,
    heads: usize,
    batch: usize,
    kind: Kind,
) -> Case {
    Case {
        name,
        columns,
        outputs,
        heads,
        batch,
        kind,
    }
}

const CASES: &[Case] = &[
    case("384x10-b32-sgd", 384, 10, 1, 32, Kind::Sgd),
    case("768x10-b256-adamw", 768, 10, 1, 256, Kind::AdamW),
    case("1024x2-b256-adamw", 1024, 2, 1, 256, Kind::AdamW),
    case("768x1000-b256-adamw", 768, 1000, 1, 256, Kind::AdamW),
    case("768x10x32-b256-adamw", 768, 10, 32, 256, Kind::AdamW),
    case("768x10x64-b256-adamw", 768, 10, 64, 256, Kind::AdamW),
    case("1024x2-b256-bf16", 1024, 2, 1, 256, Kind::Halves),
    case("384x10-evaluate", 384, 10, 1, ROWS, Kind::Evaluate),
    case("384x10x45-evaluate", 384, 10, 45, ROWS, Kind::Evaluate),
];

/// Seconds a call of `run`, the least of the rounds: what slows one down is not ours.
fn fastest(mut run: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    run()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}

fn heads(case: &Case) -> Vec<Head> {
    let optimizer = match case.kind {
        Kind::Sgd => Optimizer::Sgd {
            momentum: 0.9,
            nesterov: false,
        },
        Kind::AdamW | Kind::Halves => Optimizer::AdamW {
            beta: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
        },
        Kind::Evaluate => Optimizer::None,
    };
    let head = Head {
        outputs: case.outputs,
        bias: true,
        loss: Loss::Softmax,
        targets: Targets::Labels(0),
        weights: None,
        smoothing: 0.0,
        delta: 1.0,
        l2: 1e-4,
        optimizer,
        clip_norm: None,
        anchored: false,
    };
    vec![head; case.heads]
}

/// Seconds a step, or an evaluation.
fn time(case: &Case, level: Level, threads: usize) -> Result<f64, Error> {
    let numbers = |count: usize| (0..count).map(|i| (i * 7919 % 2011) as f32 / 1005.0 - 1.0);
    let features: Vec<f32> = numbers(ROWS * case.columns).collect();
    let bits: Vec<u16> = features
        .iter()
        .map(|x| (x.to_bits() >> 16) as u16)
        .collect();
    let labels: Vec<i64> = (0..ROWS).map(|i| (i * 31 % case.outputs) as i64).collect();
    let mut order: Vec<i64> = (0..ROWS as i64).collect();
    Stream::new(1, 1).shuffle(&mut order);
    let shape = [ROWS, case.columns];
    let halves = case.kind == Kind::Halves;
    let problem = Problem {
        features: if halves {
            Features::Half {
                bits: View::contiguous(&bits, &shape)?,
                kind: Half::Bfloat16,
            }
        } else {
            Features::Same(View::contiguous(&features, &shape)?)
        },
        shift: None,
        scale: None,
        order: matches!(case.kind, Kind::Sgd | Kind::AdamW).then_some(&order[..]),
        heads: heads(case),
        labels: vec![&labels],
        values: Vec::new(),
        weights: Vec::new(),
    };
    let context = &Context {
        level,
        threads,
        cancelled: &|| false,
    };
    let (outputs, columns) = (case.outputs * case.heads, case.columns + 1);
    let steps = ROWS.div_ceil(case.batch);
    let mut theta = vec![0.0_f32; outputs * columns];
    let (mut losses, mut sums) = (vec![0.0; case.heads * steps], vec![0.0; case.heads * steps]);
    if case.kind == Kind::Evaluate {
        let mut gradient = vec![0.0; outputs * columns];
        return fastest(|| {
            let theta = View::contiguous(&theta, &[outputs, columns])?;
            let gradient = ViewMut::contiguous(black_box(&mut gradient), &[outputs, columns])?;
            evaluate(&problem, theta, &mut losses, &mut sums, gradient, context)
        });
    }
    let kept = if case.kind == Kind::Sgd { 1 } else { 2 };
    let mut moments = vec![0.0_f32; kept * theta.len()];
    let rates = [1e-3, 1e-3, 1.0].repeat(case.heads * steps);
    let seconds = fastest(|| {
        epoch(
            &problem,
            case.batch,
            ViewMut::contiguous(black_box(&mut theta), &[outputs, columns])?,
            ViewMut::contiguous(&mut moments, &[kept, outputs, columns])?,
            None,
            View::contiguous(&rates, &[case.heads, steps, 3])?,
            &mut losses,
            &mut sums,
            context,
        )
    })?;
    Ok(seconds / steps as f64)
}

fn main() -> Result<(), Error> {
    let parts: Vec<String> = env::args()
        .skip(1)
        .filter(|part| !part.starts_with('-'))
        .collect();
    println!(
        "{:10} {:22} {:>7} {:>10} {:>10}",
        "level", "case", "threads", "µs", "GFLOP/s"
    );
    for (name, level) in levels() {
        for case in CASES {
            let line = format!("{name} {}", case.name);
            if !parts.iter().all(|part| line.contains(part.as_str())) {
                continue;
            }
            for threads in [1, 2] {
                let seconds = time(case, level, threads)?;
                let operations = 4 * case.batch * case.columns * case.outputs * case.heads;
                println!(
                    "{name:10} {:22} {threads:>7} {:>10.1} {:>10.1}",
                    case.name,
                    seconds * 1e6,
                    operations as f64 / seconds / 1e9
                );
            }
        }
    }
    Ok(())
}
