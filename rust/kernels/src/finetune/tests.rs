//! Kernels against their scalar twin, and the promises about bits.
//!
//! Bounds: u is half a unit in the last place of 1. A logit is wrong by (in + 8)·u·Σ|x||w| at most,
//! its error e by twice that and 8u more, a gradient by (batch + in + 16)·2u·max|e|·max|x| with
//! room for the curvature of all losses here, which is at most 1. S steps of rate lr carry an error
//! on by 1 + lr·L each, which the cases keep below 2 in all.

use std::cell::Cell;

use super::naive;
use super::{
    Features, Half, Head, Loss, Optimizer, Problem, Targets, epoch, evaluate, logits, moments,
};
use crate::layers::samples::{assert_bits_do_not_depend_on_the_width, on_every_level, unit};
use crate::random::Stream;
use crate::simd::{Level, Real};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

const LOSSES: [Loss; 4] = [Loss::Softmax, Loss::Sigmoid, Loss::Squared, Loss::Huber];

fn best() -> Level {
    Level::new()
}

fn context(level: Level, threads: usize) -> Context<'static> {
    Context {
        level,
        threads,
        cancelled: &|| false,
    }
}

/// A head that trains by plain gradient descent on labels `0` or values `0`.
fn head(loss: Loss, outputs: usize, targets: Targets) -> Head {
    Head {
        outputs,
        bias: true,
        loss,
        targets,
        weights: None,
        smoothing: 0.0,
        delta: 0.5,
        l2: 0.0,
        optimizer: Optimizer::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        clip_norm: None,
        anchored: false,
    }
}

/// Numbers in float64 that float32 holds too, from which a problem of either type is made.
#[derive(Clone)]
struct Case {
    rows: usize,
    columns: usize,
    features: Vec<f64>,
    shift: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    order: Option<Vec<i64>>,
    heads: Vec<Head>,
    labels: Vec<Vec<i64>>,
    /// With the number of outputs.
    values: Vec<(usize, Vec<f64>)>,
    weights: Vec<Vec<f64>>,
    parameters: Vec<f64>,
    anchor: Option<Vec<f64>>,
    batch: usize,
    rate: f64,
    /// Place of the first head among those that it was taken from.
    first: usize,
}

/// `count` multiples of 2⁻¹⁰ in [low, low + span).
fn numbers(stream: u64, count: usize, low: f64, span: f64) -> Vec<f64> {
    let stream = Stream::new(11, stream);
    (0..count as u64)
        .map(|i| (stream.uniform::<f64>(i) * span * 1024.0).floor() / 1024.0 + low)
        .collect()
}

impl Case {
    /// `rows` × `columns` features, labels of three kinds for softmax, of two for sigmoid.
    fn new(rows: usize, columns: usize, heads: Vec<Head>) -> Self {
        let labels = |kinds: f64, stream| {
            numbers(stream, rows, 0.0, kinds)
                .iter()
                .map(|x| *x as i64)
                .collect()
        };
        let outputs: usize = heads.iter().map(|head| head.outputs).sum();
        Self {
            rows,
            columns,
            features: numbers(1, rows * columns, -1.0, 2.0),
            shift: None,
            scale: None,
            order: None,
            labels: vec![labels(3.0, 2), labels(2.0, 3)],
            values: [1, 2, 3, 5]
                .map(|outputs| {
                    (
                        outputs,
                        numbers(4 + outputs as u64, rows * outputs, 0.0, 1.0),
                    )
                })
                .to_vec(),
            weights: vec![numbers(20, rows, 0.0, 2.0), numbers(21, rows, 0.0, 1.0)],
            parameters: numbers(22, outputs * (columns + 1), -0.25, 0.5),
            anchor: None,
            heads,
            batch: rows,
            rate: 0.125,
            first: 0,
        }
    }

    fn visits(&self) -> usize {
        self.order.as_ref().map_or(self.rows, Vec::len)
    }

    fn steps(&self) -> usize {
        self.visits().div_ceil(self.batch)
    }

    fn outputs(&self) -> usize {
        self.heads.iter().map(|head| head.outputs).sum()
    }

    fn kept(&self) -> usize {
        let moments = self.heads.iter().map(|head| head.optimizer.moments());
        moments.max().unwrap_or(0)
    }

    /// (heads, steps, 3), another rate for each head.
    fn rates(&self) -> Vec<f64> {
        let mut rates = Vec::new();
        for (index, head) in self.heads.iter().enumerate() {
            for step in 0..self.steps() {
                let place = (self.first + index) as f64;
                let rate = self.rate / (1.0 + place / 8.0 + step as f64 / 4.0);
                rates.extend(match head.optimizer {
                    Optimizer::AdamW { beta, .. } => {
                        let t = step as i32 + 1;
                        [
                            rate,
                            rate / (1.0 - beta[0].powi(t)),
                            1.0 / (1.0 - beta[1].powi(t)).sqrt(),
                        ]
                    }
                    _ => [rate, rate, 1.0],
                });
            }
        }
        rates
    }

    fn arrays<T: Real>(&self) -> Arrays<T> {
        Arrays {
            features: cast(&self.features),
            shift: self.shift.as_deref().map(cast),
            scale: self.scale.as_deref().map(cast),
            values: self.values.iter().map(|(_, values)| cast(values)).collect(),
            weights: self.weights.iter().map(|weights| cast(weights)).collect(),
            parameters: cast(&self.parameters),
            anchor: self.anchor.as_deref().map(cast),
        }
    }

    fn problem<'a, T: Real>(&'a self, arrays: &'a Arrays<T>) -> Problem<'a, T> {
        let shape = [self.rows, self.columns];
        Problem {
            features: Features::Same(View::contiguous(&arrays.features, &shape).expect("whole")),
            shift: arrays.shift.as_deref(),
            scale: arrays.scale.as_deref(),
            order: self.order.as_deref(),
            heads: self.heads.clone(),
            labels: self.labels.iter().map(Vec::as_slice).collect(),
            values: self
                .values
                .iter()
                .zip(&arrays.values)
                .map(|((outputs, _), values)| {
                    View::contiguous(values, &[self.rows, *outputs]).expect("whole")
                })
                .collect(),
            weights: arrays.weights.iter().map(Vec::as_slice).collect(),
        }
    }

    /// What an epoch leaves.
    fn trained<T: Real + Default>(&self, context: &Context<'_>) -> Trained<T> {
        let arrays = self.arrays::<T>();
        self.trained_as(&self.problem(&arrays), &arrays, context)
            .expect("valid")
    }

    fn trained_as<T: Real + Default>(
        &self,
        problem: &Problem<'_, T>,
        arrays: &Arrays<T>,
        context: &Context<'_>,
    ) -> Result<Trained<T>, Error> {
        let (outputs, columns) = (self.outputs(), self.columns + 1);
        let (heads, steps) = (self.heads.len(), self.steps());
        let mut parameters = arrays.parameters.clone();
        let mut moments = vec![T::ZERO; self.kept() * outputs * columns];
        let rates = self.rates();
        let mut losses = vec![f64::NAN; heads * steps];
        let mut weight_sums = losses.clone();
        let shape = [outputs, columns];
        epoch(
            problem,
            self.batch,
            ViewMut::contiguous(&mut parameters, &shape)?,
            ViewMut::contiguous(&mut moments, &[self.kept(), outputs, columns])?,
            match &arrays.anchor {
                Some(anchor) => Some(View::contiguous(anchor, &shape)?),
                None => None,
            },
            View::contiguous(&rates, &[heads, steps, 3])?,
            &mut losses,
            &mut weight_sums,
            context,
        )?;
        Ok(Trained {
            parameters,
            moments,
            losses,
            weight_sums,
        })
    }

    /// What the twin leaves.
    fn truth(&self) -> Trained<f64> {
        let arrays = self.arrays::<f64>();
        let mut parameters = self.parameters.clone();
        let mut moments = vec![0.0; self.kept() * parameters.len()];
        let [losses, weight_sums] = naive::epoch(
            &self.problem(&arrays),
            self.batch,
            &mut parameters,
            &mut moments,
            self.anchor.as_deref(),
            &self.rates(),
        );
        Trained {
            parameters,
            moments,
            losses,
            weight_sums,
        }
    }

    /// The head at `index` alone.
    fn alone(&self, index: usize) -> Self {
        let start: usize = self.heads[..index].iter().map(|head| head.outputs).sum();
        let columns = self.columns + 1;
        let own = start * columns..(start + self.heads[index].outputs) * columns;
        Self {
            heads: vec![self.heads[index].clone()],
            first: index,
            parameters: self.parameters[own.clone()].to_vec(),
            anchor: self.anchor.as_ref().map(|anchor| anchor[own].to_vec()),
            ..self.clone()
        }
    }
}

/// A case's numbers in one type.
struct Arrays<T> {
    features: Vec<T>,
    shift: Option<Vec<T>>,
    scale: Option<Vec<T>>,
    values: Vec<Vec<T>>,
    weights: Vec<Vec<T>>,
    parameters: Vec<T>,
    anchor: Option<Vec<T>>,
}

struct Trained<T> {
    parameters: Vec<T>,
    moments: Vec<T>,
    losses: Vec<f64>,
    weight_sums: Vec<f64>,
}

impl<T: Real> Trained<T> {
    fn bits(&self) -> Vec<u64> {
        let trained = self.parameters.iter().chain(&self.moments);
        let trained = trained.map(|x| x.to_f64());
        let sums = self.losses.iter().chain(&self.weight_sums).copied();
        trained.chain(sums).map(f64::to_bits).collect()
    }
}

fn cast<T: Real>(numbers: &[f64]) -> Vec<T> {
    numbers.iter().map(|&x| T::from_f64(x)).collect()
}

fn assert_near<T: Real>(got: &[T], truth: &[f64], bound: f64, what: &str) {
    assert_eq!(got.len(), truth.len(), "{what}");
    for (i, (got, truth)) in got.iter().zip(truth).enumerate() {
        let apart = (got.to_f64() - truth).abs();
        assert!(
            apart <= bound * truth.abs().max(1.0),
            "{what}: element {i} is {got:?}, not {truth} (off by {apart:e}, bound {bound:e})",
            got = got.to_f64(),
        );
    }
}

/// The bound of this module's first lines on parameters after an epoch of `case`.
fn bound<T: Real>(case: &Case) -> f64 {
    let u = unit::<T>().max(unit::<f64>());
    let reach = (case.batch.min(case.visits()) + case.columns + 16) as f64;
    let sum = case.columns as f64 / 4.0 + 2.0;
    2.0 * case.steps() as f64 * reach * 2.0 * u * sum.sqrt()
}

fn holds_to_the_twin<T: Real + Default>(case: &Case, what: &str) {
    let truth = case.truth();
    let bound = bound::<T>(case);
    on_every_level(|name, level| {
        let what = format!("{what} on {name}");
        let trained = case.trained::<T>(&context(level, 2));
        assert_near(&trained.parameters, &truth.parameters, bound, &what);
        assert_near(&trained.moments, &truth.moments, bound, &what);
        assert_near(&trained.losses, &truth.losses, bound, &what);
        assert_near(&trained.weight_sums, &truth.weight_sums, bound, &what);
    });
}

fn adamw(weight_decay: f64) -> Optimizer {
    Optimizer::AdamW {
        beta: [0.9, 0.99],
        // Large, so that a step is a bounded multiple of its gradient's error.
        epsilon: 0.25,
        weight_decay,
    }
}

fn sgd(momentum: f64, nesterov: bool) -> Optimizer {
    Optimizer::Sgd { momentum, nesterov }
}

/// Every loss, with labels where it takes them and with values.
fn every_loss() -> Vec<Head> {
    let mut heads = vec![
        head(Loss::Softmax, 3, Targets::Labels(0)),
        head(Loss::Sigmoid, 1, Targets::Labels(1)),
    ];
    heads.extend(LOSSES.map(|loss| head(loss, 3, Targets::Values(2))));
    heads
}

#[test]
fn an_epoch_is_its_formula_for_every_loss_and_optimizer() {
    let optimizers = [
        sgd(0.0, false),
        sgd(0.75, false),
        sgd(0.75, true),
        adamw(0.0),
        adamw(0.25),
    ];
    for optimizer in optimizers {
        let mut heads = every_loss();
        for head in &mut heads {
            head.optimizer = optimizer;
        }
        let mut case = Case::new(100, 70, heads);
        case.batch = 40;
        holds_to_the_twin::<f32>(&case, &format!("{optimizer:?} in float32"));
        holds_to_the_twin::<f64>(&case, &format!("{optimizer:?} in float64"));
    }
}

#[test]
fn every_option_is_its_formula() {
    let mut heads = every_loss();
    heads[0].l2 = 0.5;
    heads[1].clip_norm = Some(0.0625);
    heads[1].bias = false;
    heads[2].smoothing = 0.125;
    heads[2].weights = Some(0);
    heads[3].smoothing = 0.25;
    heads[3].l2 = 0.25;
    heads[3].anchored = true;
    heads[4].clip_norm = Some(100.0);
    heads[4].weights = Some(1);
    heads[5].l2 = 0.125;
    heads[5].bias = false;
    heads[5].clip_norm = Some(0.25);
    for optimizer in [sgd(0.5, false), adamw(0.125)] {
        for head in &mut heads {
            head.optimizer = optimizer;
        }
        let mut case = Case::new(90, 64, heads.clone());
        case.batch = 32;
        case.order = Some((0..70).map(|i| (i * 37) % 90).collect());
        case.shift = Some(numbers(30, 64, -0.25, 0.5));
        case.scale = Some(numbers(31, 64, 0.5, 0.75));
        let count = case.parameters.len();
        case.anchor = Some(numbers(32, count, -0.5, 1.0));
        for bias in case.parameters.chunks_mut(65).skip(13) {
            bias[64] = 0.0;
        }
        case.parameters[3 * 65 + 64] = 0.0;
        holds_to_the_twin::<f32>(&case, &format!("{optimizer:?} in float32"));
        holds_to_the_twin::<f64>(&case, &format!("{optimizer:?} in float64"));
        // Without a head that clips, steps are made at once and not from kept gradients.
        for head in &mut case.heads {
            head.clip_norm = None;
        }
        holds_to_the_twin::<f32>(&case, &format!("{optimizer:?}, not clipped, in float32"));
        holds_to_the_twin::<f64>(&case, &format!("{optimizer:?}, not clipped, in float64"));
    }
}

#[test]
fn batches_of_every_size_around_slabs_and_blocks_are_their_formula() {
    for batch in [1, 16, 63, 64, 65, 128, 129, 300, 1023, 1024, 1025, 1300] {
        let heads = vec![
            head(Loss::Softmax, 3, Targets::Labels(0)),
            head(Loss::Sigmoid, 2, Targets::Values(1)),
        ];
        let mut case = Case::new(if batch < 16 { 40 } else { 1300 }, 17, heads);
        case.batch = batch;
        holds_to_the_twin::<f32>(&case, &format!("batches of {batch} in float32"));
        holds_to_the_twin::<f64>(&case, &format!("batches of {batch} in float64"));
    }
}

#[test]
fn columns_of_every_number_around_groups_and_strips_are_their_formula() {
    for columns in [1, 15, 16, 63, 64, 65, 127, 128, 129, 768] {
        let mut first = head(Loss::Softmax, 3, Targets::Labels(0));
        first.l2 = 0.25;
        first.optimizer = adamw(0.125);
        let mut second = head(Loss::Huber, 1, Targets::Values(0));
        second.optimizer = adamw(0.0);
        second.bias = false;
        let mut case = Case::new(96, columns, vec![first, second]);
        let last = case.parameters.len() - 1;
        case.parameters[last] = 0.0;
        case.batch = 48;
        holds_to_the_twin::<f32>(&case, &format!("{columns} columns in float32"));
        holds_to_the_twin::<f64>(&case, &format!("{columns} columns in float64"));
    }
}

#[test]
fn more_outputs_than_a_block_are_their_formula() {
    // 120 outputs are taken at a time: here the blocks end within heads.
    let heads = (0..60)
        .flat_map(|i| {
            let mut heads = [
                head(Loss::Softmax, 3, Targets::Labels(0)),
                head(Loss::Sigmoid, 2, Targets::Values(1)),
            ];
            heads[i % 2].l2 = 0.25;
            heads
        })
        .collect();
    let mut case = Case::new(70, 20, heads);
    case.batch = 35;
    holds_to_the_twin::<f32>(&case, "300 outputs in float32");
    holds_to_the_twin::<f64>(&case, "300 outputs in float64");
}

/// Heads that differ in everything, large enough for several threads, not clipped.
fn mixed(heads: usize, optimizer: Optimizer, clip: bool) -> Case {
    let all = (0..heads)
        .map(|i| {
            let mut head = every_loss()[i % 6].clone();
            head.optimizer = optimizer;
            head.weights = [None, Some(0), Some(1)][i % 3];
            head.smoothing = [0.0, 0.125][i / 2 % 2];
            head.l2 = [0.0, 0.5, 0.125][i / 3 % 3];
            head.bias = i % 5 != 4;
            head.anchored = i % 7 == 3;
            head.clip_norm = (clip && i % 4 == 1).then_some(0.125);
            head
        })
        .collect();
    let mut case = Case::new(1100, 150, all);
    case.batch = 250;
    let count = case.parameters.len();
    case.anchor = Some(numbers(32, count, -0.5, 1.0));
    case
}

#[test]
fn bits_are_the_same_at_1_2_and_7_threads() {
    for (optimizer, clip) in [
        (sgd(0.5, true), false),
        (adamw(0.125), false),
        (adamw(0.0), true),
    ] {
        let mut case = mixed(30, optimizer, clip);
        for batch in [250, 1100] {
            case.batch = batch;
            let one = case.trained::<f32>(&context(best(), 1)).bits();
            for threads in [2, 7] {
                assert_eq!(one, case.trained::<f32>(&context(best(), threads)).bits());
            }
        }
    }
}

fn a_head_has_its_own_bits<T: Real + Default>() {
    for (optimizer, clip) in [(sgd(0.5, false), false), (adamw(0.125), true)] {
        let case = mixed(64, optimizer, clip);
        let together = case.trained::<T>(&context(best(), 2));
        let (columns, steps) = (case.columns + 1, case.steps());
        let bits = |x: &[T]| x.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>();
        let mut start = 0;
        for (index, head) in case.heads.iter().enumerate() {
            let alone = case.alone(index).trained::<T>(&context(best(), 1));
            let own = start * columns..(start + head.outputs) * columns;
            let what = format!("head {index}, {head:?}");
            assert_eq!(
                bits(&alone.parameters),
                bits(&together.parameters[own.clone()]),
                "{what}"
            );
            let kept = alone.parameters.len();
            for (moment, all) in together.moments.chunks(case.parameters.len()).enumerate() {
                let moments = &alone.moments[moment * kept..(moment + 1) * kept];
                assert_eq!(bits(moments), bits(&all[own.clone()]), "{what}");
            }
            let losses = &together.losses[index * steps..(index + 1) * steps];
            assert_eq!(alone.losses, losses, "{what}");
            start += head.outputs;
        }
    }
}

#[test]
fn a_head_alone_has_the_bits_that_it_has_among_64_in_float32() {
    a_head_has_its_own_bits::<f32>();
}

#[test]
fn a_head_alone_has_the_bits_that_it_has_among_64_in_float64() {
    a_head_has_its_own_bits::<f64>();
}

#[test]
fn bits_do_not_depend_on_the_width_of_vectors() {
    let case = mixed(12, adamw(0.125), true);
    assert_bits_do_not_depend_on_the_width(|level| case.trained::<f32>(&context(level, 2)).bits());
    assert_bits_do_not_depend_on_the_width(|level| case.trained::<f64>(&context(level, 2)).bits());
}

#[test]
fn rows_after_a_batch_do_not_change_it() {
    let mut case = mixed(6, sgd(0.0, false), false);
    case.batch = 100;
    case.order = Some((0..100).collect());
    let short = case.trained::<f32>(&context(best(), 2));
    case.order = Some((0..300).collect());
    let long = case.trained::<f32>(&context(best(), 2));
    for index in 0..case.heads.len() {
        assert_eq!(
            short.losses[index].to_bits(),
            long.losses[3 * index].to_bits()
        );
        assert_eq!(
            short.weight_sums[index].to_bits(),
            long.weight_sums[3 * index].to_bits()
        );
    }
}

#[test]
fn a_wide_enough_clip_changes_no_bit() {
    let mut case = mixed(9, adamw(0.125), false);
    let without = case.trained::<f32>(&context(best(), 2)).bits();
    case.heads[4].clip_norm = Some(1e9);
    assert_eq!(without, case.trained::<f32>(&context(best(), 2)).bits());
}

#[test]
fn weights_that_sum_to_zero_leave_the_penalty_alone() {
    let mut one = head(Loss::Softmax, 3, Targets::Labels(0));
    one.weights = Some(0);
    one.l2 = 0.5;
    let mut case = Case::new(20, 5, vec![one]);
    case.weights[0].fill(0.0);
    let trained = case.trained::<f64>(&context(best(), 1));
    let weights =
        |theta: &[f64]| -> Vec<f64> { theta.chunks(6).flat_map(|row| row[..5].to_vec()).collect() };
    let before = weights(&case.parameters);
    let squares: f64 = before.iter().map(|x| x * x).sum();
    assert!((trained.losses[0] - 0.25 * squares).abs() < 1e-14);
    assert_eq!(trained.weight_sums[0], 0.0);
    let shrunk: Vec<f64> = before.iter().map(|x| x - 0.125 * (0.5 * x)).collect();
    assert_near(&weights(&trained.parameters), &shrunk, 1e-15, "weights");
    assert_eq!(trained.parameters[5], case.parameters[5], "the bias");
}

/// Halves of all signs and exponents near 1, and their float32.
fn halves(kind: Half, count: usize) -> (Vec<u16>, Vec<f32>) {
    let bits: Vec<u16> = numbers(40, count, 0.0, 64.0)
        .iter()
        .map(|x| {
            let bits = (x * 1024.0) as u16;
            match kind {
                Half::Float16 => (bits & 0x8fff) | 0x3000,
                Half::Bfloat16 => (bits & 0x80ff) | 0x3f00,
            }
        })
        .collect();
    let mut wide = vec![0.0; count];
    f32::widen(kind, &bits, &mut wide);
    (bits, wide)
}

#[test]
fn halves_train_to_the_bits_of_their_float32() {
    for kind in [Half::Float16, Half::Bfloat16] {
        for (shift, columns) in [(false, 150), (true, 150), (false, 128), (true, 7)] {
            let mut case = mixed(6, adamw(0.125), false);
            case.columns = columns;
            let outputs = case.outputs();
            case.parameters = numbers(22, outputs * (columns + 1), -0.25, 0.5);
            case.anchor = Some(numbers(32, outputs * (columns + 1), -0.5, 1.0));
            if shift {
                case.shift = Some(numbers(30, columns, -0.25, 0.5));
                case.scale = Some(numbers(31, columns, 0.5, 0.75));
            }
            let (bits, wide) = halves(kind, case.rows * columns);
            case.features = wide.iter().map(|&x| f64::from(x)).collect();
            let context = context(best(), 2);
            let arrays = case.arrays::<f32>();
            let mut problem = case.problem(&arrays);
            let wide = case.trained_as(&problem, &arrays, &context).expect("valid");
            let bits = View::contiguous(&bits, &[case.rows, columns]).expect("whole");
            problem.features = Features::Half { bits, kind };
            let narrow = case.trained_as(&problem, &arrays, &context).expect("valid");
            assert_eq!(narrow.bits(), wide.bits(), "{kind:?}, {columns}, {shift}");
        }
    }
}

#[test]
fn halves_are_not_computed_in_float64() {
    let case = mixed(2, sgd(0.0, false), false);
    let arrays = case.arrays::<f64>();
    let bits = vec![0; case.rows * case.columns];
    let bits = View::contiguous(&bits, &[case.rows, case.columns]).expect("whole");
    let mut problem = case.problem(&arrays);
    problem.features = Features::Half {
        bits,
        kind: Half::Float16,
    };
    assert!(matches!(
        problem.check(),
        Err(Error::Layout {
            argument: "features",
            ..
        })
    ));
}

#[test]
fn gaps_between_rows_change_no_bit() {
    let case = mixed(6, sgd(0.5, false), false);
    let arrays = case.arrays::<f32>();
    let mut problem = case.problem(&arrays);
    let context = context(best(), 2);
    let wanted = case
        .trained_as(&problem, &arrays, &context)
        .expect("valid")
        .bits();
    let stride = case.columns + 3;
    let mut spread = vec![f32::NAN; case.rows * stride];
    for (to, from) in spread
        .chunks_mut(stride)
        .zip(arrays.features.chunks(case.columns))
    {
        to[..case.columns].copy_from_slice(from);
    }
    let view = View::new(
        &spread,
        0,
        &[case.rows, case.columns],
        &[stride as isize, 1],
    );
    problem.features = Features::Same(view.expect("inside"));
    let got = case.trained_as(&problem, &arrays, &context).expect("valid");
    assert_eq!(got.bits(), wanted);
}

fn first_bad_value_is_named<T: Real + Default>(bad: f64) {
    for (row, column) in [(0, 0), (37, 3), (69, 149), (1099, 128)] {
        for standardised in [false, true] {
            let mut case = mixed(3, sgd(0.0, false), false);
            case.features[row * case.columns + column] = bad;
            if standardised {
                case.shift = Some(vec![0.5; case.columns]);
            }
            let arrays = case.arrays::<T>();
            let problem = case.problem(&arrays);
            let wanted = Error::NotFinite {
                argument: "features",
                row,
                column,
            };
            let context = context(best(), 2);
            let epoch = case.trained_as(&problem, &arrays, &context);
            assert_eq!(epoch.err(), Some(wanted.clone()));
            let shape = [case.outputs(), case.columns + 1];
            let parameters = View::contiguous(&arrays.parameters, &shape).expect("whole");
            let mut sums = [[0.0; 3]; 2];
            let [losses, weights] = &mut sums;
            let mut gradient = vec![0.0; arrays.parameters.len()];
            let gradient = ViewMut::contiguous(&mut gradient, &shape).expect("whole");
            let whole = evaluate(&problem, parameters, losses, weights, gradient, &context);
            assert_eq!(whole, Err(wanted.clone()));
            let mut out = vec![T::ZERO; case.rows * shape[0]];
            let out = ViewMut::contiguous(&mut out, &[case.rows, shape[0]]).expect("whole");
            let rows = logits(
                problem.features,
                problem.shift,
                None,
                None,
                parameters,
                out,
                &context,
            );
            assert_eq!(rows, Err(wanted.clone()));
            let (mut mean, mut deviation) = (vec![0.0; case.columns], vec![7.0; case.columns]);
            let found = moments(
                problem.features,
                None,
                None,
                &mut mean,
                &mut deviation,
                &context,
            );
            assert_eq!(found, Err(wanted));
            assert!(deviation.iter().all(|&x| x == 7.0));
        }
    }
}

#[test]
fn the_first_value_that_is_not_finite_is_named() {
    first_bad_value_is_named::<f32>(f64::NAN);
    first_bad_value_is_named::<f64>(f64::INFINITY);
    first_bad_value_is_named::<f32>(f64::NEG_INFINITY);
}

#[test]
fn a_value_in_a_row_that_is_not_visited_is_not_looked_at() {
    let mut case = mixed(3, sgd(0.0, false), false);
    case.features[5 * case.columns] = f64::NAN;
    case.order = Some((6..206).collect());
    case.batch = 100;
    let trained = case.trained::<f32>(&context(best(), 2));
    assert!(trained.parameters.iter().all(|x| x.is_finite()));
}

#[test]
fn extreme_logits_keep_losses_finite() {
    for loss in LOSSES {
        let mut case = Case::new(64, 8, vec![head(loss, 3, Targets::Values(2))]);
        for x in &mut case.parameters {
            *x *= 4e4;
        }
        for (_, values) in &mut case.values {
            values.iter_mut().for_each(|t| *t = t.round());
        }
        let truth = case.truth();
        let trained = case.trained::<f32>(&context(best(), 1));
        assert_near(&trained.losses, &truth.losses, 1e-5, &format!("{loss:?}"));
        assert!(trained.parameters.iter().all(|x| x.is_finite()));
    }
}

fn evaluation_is_its_formula<T: Real + Default>() {
    let mut case = mixed(6, sgd(0.0, false), false);
    case.rows = 1100;
    case.order = Some((0..1090).rev().collect());
    case.batch = 1090;
    let wide = case.arrays::<f64>();
    let rows: Vec<usize> = (0..1090).rev().collect();
    let arrays = case.arrays::<T>();
    let problem = case.problem(&arrays);
    let shape = [case.outputs(), case.columns + 1];
    on_every_level(|name, level| {
        let mut bits = Vec::new();
        for threads in [1, 2, 7] {
            let parameters = View::contiguous(&arrays.parameters, &shape).expect("whole");
            let (mut losses, mut weights) = (vec![0.0; 6], vec![0.0; 6]);
            let mut gradient = vec![0.0; arrays.parameters.len()];
            let out = ViewMut::contiguous(&mut gradient, &shape).expect("whole");
            let context = context(level, threads);
            evaluate(
                &problem,
                parameters,
                &mut losses,
                &mut weights,
                out,
                &context,
            )
            .expect("valid");
            let mut start = 0;
            for (index, head) in case.heads.iter().enumerate() {
                let (loss, weight, g) =
                    naive::objective(&case.problem(&wide), head, start, &rows, &case.parameters);
                let own = start * shape[1]..(start + head.outputs) * shape[1];
                // A mean over rows, so that the module's bound on a batch's gradient serves.
                let mean = |x: &[f64]| x.iter().map(|x| x / weight).collect::<Vec<_>>();
                let what = format!("{name}, head {index}");
                let bound = bound::<T>(&case);
                assert_near(&mean(&gradient[own]), &mean(&g), bound, &what);
                assert_near(&[losses[index] / weight], &[loss / weight], bound, &what);
                assert_near(&[weights[index]], &[weight], bound, &what);
                start += head.outputs;
            }
            let numbers = gradient.iter().chain(&losses).chain(&weights);
            bits.push(numbers.map(|x| x.to_bits()).collect::<Vec<_>>());
        }
        assert!(bits.windows(2).all(|two| two[0] == two[1]), "{name}");
    });
}

#[test]
fn an_evaluation_is_its_formula_at_any_number_of_threads_in_float32() {
    evaluation_is_its_formula::<f32>();
}

#[test]
fn an_evaluation_is_its_formula_at_any_number_of_threads_in_float64() {
    evaluation_is_its_formula::<f64>();
}

fn logits_are_their_formula<T: Real + Default>() {
    for (rows, columns, outputs) in [(1, 1, 1), (64, 64, 7), (70, 130, 3), (200, 129, 130)] {
        let heads = vec![head(Loss::Squared, outputs, Targets::Values(0))];
        let case = Case::new(rows, columns, heads);
        let arrays = case.arrays::<T>();
        let wide = case.arrays::<f64>();
        let order: Vec<i64> = (0..rows as i64).rev().collect();
        let shape = [outputs, columns + 1];
        let bound = (columns + 8) as f64 * unit::<T>() * (columns as f64 / 4.0 + 1.0);
        assert_bits_do_not_depend_on_the_width(|level| {
            let mut bits = Vec::new();
            for threads in [1, 7] {
                let mut out = vec![T::NAN; rows * outputs];
                logits(
                    case.problem(&arrays).features,
                    None,
                    None,
                    Some(&order),
                    View::contiguous(&arrays.parameters, &shape).expect("whole"),
                    ViewMut::contiguous(&mut out, &[rows, outputs]).expect("whole"),
                    &context(level, threads),
                )
                .expect("valid");
                for (out, &row) in out.chunks(outputs).zip(&order) {
                    let truth = naive::logits(&case.problem(&wide), row as usize, &case.parameters);
                    assert_near(
                        out,
                        &truth,
                        bound,
                        &format!("{rows} × {columns} × {outputs}"),
                    );
                }
                bits.push(out.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>());
            }
            assert_eq!(bits[0], bits[1]);
            bits.swap_remove(0)
        });
    }
}

#[test]
fn logits_are_their_formula_with_the_same_bits_everywhere() {
    logits_are_their_formula::<f32>();
    logits_are_their_formula::<f64>();
}

#[test]
fn moments_are_their_formula_at_any_number_of_threads() {
    let mut case = Case::new(3000, 70, every_loss());
    for row in case.features.chunks_mut(70) {
        row[5] = 0.75;
        row[6] = 0.0;
        row[7] += 1e3;
    }
    let order: Vec<i64> = (0..2500).map(|i| i * 7 % 3000).collect();
    let rows: Vec<usize> = order.iter().map(|&row| row as usize).collect();
    let weights = numbers(50, 3000, 0.0, 2.0);
    let arrays = case.arrays::<f32>();
    let problem = case.problem(&arrays);
    for given in [None, Some(&weights[..])] {
        let mut seen = Vec::new();
        for threads in [1, 2, 7] {
            let (mut mean, mut deviation) = (vec![0.0; 70], vec![0.0; 70]);
            moments(
                problem.features,
                Some(&order),
                given,
                &mut mean,
                &mut deviation,
                &context(best(), threads),
            )
            .expect("valid");
            for column in 0..70 {
                let value = |row: usize| case.features[row * 70 + column];
                let weight = |row: usize| given.map_or(1.0, |weights| weights[row]);
                let [wanted, spread] = naive::moments(value, weight, &rows);
                // 3000 additions of float64, each within u of sums that add numbers of one sign or
                // stay below them.
                let bound = 3000.0 * unit::<f64>() * 4.0;
                assert_near(&[mean[column]], &[wanted], bound, "mean");
                assert_near(&[deviation[column]], &[spread], bound, "deviation");
            }
            assert_eq!([deviation[5], deviation[6]], [1.0, 1.0]);
            seen.push([mean, deviation]);
        }
        assert!(seen.windows(2).all(|two| two[0] == two[1]));
    }
}

#[test]
fn a_cancelled_epoch_says_so() {
    let case = mixed(30, adamw(0.0), false);
    let arrays = case.arrays::<f32>();
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        true
    };
    let context = Context {
        level: best(),
        threads: 2,
        cancelled: &cancelled,
    };
    // The pool asks every 20 ms only: an epoch that is over before has not been cancelled.
    for _ in 0..10_000 {
        match case.trained_as(&case.problem(&arrays), &arrays, &context) {
            Err(error) => {
                assert_eq!(error, Error::Interrupted);
                assert!(asked.get() > 0);
                return;
            }
            Ok(_) => assert_eq!(asked.get(), 0, "asked, and not listened to"),
        }
    }
    panic!("never asked");
}

#[test]
fn what_does_not_fit_is_named() {
    let argument = |change: &dyn Fn(&mut Problem<'_, f32>)| {
        let case = mixed(6, sgd(0.0, false), false);
        let arrays = case.arrays::<f32>();
        let mut problem = case.problem(&arrays);
        change(&mut problem);
        match problem.check() {
            Err(
                Error::Shape { argument, .. }
                | Error::Value { argument, .. }
                | Error::Layout { argument, .. },
            ) => argument,
            other => panic!("{other:?}"),
        }
    };
    static ONES: [f32; 3] = [1.0; 3];
    assert_eq!(argument(&|p| p.shift = Some(&ONES)), "shift");
    assert_eq!(argument(&|p| p.scale = Some(&ONES)), "scale");
    assert_eq!(argument(&|p| p.order = Some(&[0, 1100])), "order");
    assert_eq!(argument(&|p| p.order = Some(&[-1])), "order");
    assert_eq!(argument(&|p| p.labels[0] = &[0, 1]), "labels");
    assert_eq!(argument(&|p| p.weights[0] = &ONES), "weights");
    assert_eq!(argument(&|p| p.heads.clear()), "heads");
    assert_eq!(argument(&|p| p.heads[0].outputs = 0), "outputs");
    assert_eq!(argument(&|p| p.heads[0].outputs = 2), "labels");
    assert_eq!(
        argument(&|p| p.heads[0].targets = Targets::Labels(9)),
        "labels"
    );
    assert_eq!(
        argument(&|p| p.heads[0].targets = Targets::Values(9)),
        "values"
    );
    assert_eq!(
        argument(&|p| p.heads[0].targets = Targets::Values(0)),
        "values"
    );
    assert_eq!(argument(&|p| p.heads[0].weights = Some(9)), "weights");
    assert_eq!(argument(&|p| p.heads[0].loss = Loss::Huber), "targets");
    let mut case = mixed(2, sgd(0.0, false), false);
    case.labels[0][17] = -1;
    let arrays = case.arrays::<f32>();
    assert!(case.problem(&arrays).check().is_err());
}

#[test]
fn optimizers_of_one_call_are_of_one_kind() {
    let mut case = mixed(2, sgd(0.0, false), false);
    for other in [adamw(0.0), Optimizer::None] {
        case.heads[1].optimizer = other;
        let arrays = case.arrays::<f32>();
        let trained = case.trained_as(&case.problem(&arrays), &arrays, &context(best(), 1));
        assert!(matches!(
            trained.err(),
            Some(Error::Value {
                argument: "optimizer",
                ..
            })
        ));
    }
}
