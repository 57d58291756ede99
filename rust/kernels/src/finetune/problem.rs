//! What is trained on what, and the check that all sizes and numbers go together.

use crate::Error;
use crate::layers::rows::{check_rows, check_shape};
use crate::simd::{Half, Real};
use crate::view::View;

/// Rows of features, and the heads that learn from them.
///
/// Heads are stacked along the outputs: parameters are (K, in + 1), K the sum of the heads'
/// outputs, with the bias last, as the weight of a column of ones.
pub struct Problem<'a, T> {
    /// (n, in), rows of unit stride.
    pub features: Features<'a, T>,
    /// (in,): subtracted from the features …
    pub shift: Option<&'a [T]>,
    /// … and multiplied with what is left.
    pub scale: Option<&'a [T]>,
    /// Rows in the order in which they are visited; `None`: all, as they lie.
    pub order: Option<&'a [i64]>,
    /// From the first rows of the parameters on.
    pub heads: Vec<Head>,
    /// Each (n,): a row's label.
    pub labels: Vec<&'a [i64]>,
    /// Each (n, outputs): a row's values, or shares of the labels.
    pub values: Vec<View<'a, T>>,
    /// Each (n,): how much a row counts.
    pub weights: Vec<&'a [T]>,
}

/// Features as they lie.
#[derive(Clone, Copy)]
pub enum Features<'a, T> {
    /// In the type that is computed in.
    Same(View<'a, T>),
    /// In sixteen bits; float32 is computed in.
    Half {
        /// The numbers' bits.
        bits: View<'a, u16>,
        /// What they are.
        kind: Half,
    },
}

/// One head: some rows of the parameters, and how they are trained.
#[derive(Clone, Debug)]
pub struct Head {
    /// Rows of the parameters.
    pub outputs: usize,
    /// Whether there is a bias; without one it stays as it is.
    pub bias: bool,
    /// What is minimised.
    pub loss: Loss,
    /// What outputs are compared with.
    pub targets: Targets,
    /// Index into [`Problem::weights`]; `None`: each row counts 1.
    pub weights: Option<usize>,
    /// Share of a target that is spread over all outputs (softmax) or between 0 and 1 (sigmoid).
    pub smoothing: f64,
    /// Where huber's loss goes over from a parabola to a line.
    pub delta: f64,
    /// Factor of ½‖W − anchor‖² in the objective.
    pub l2: f64,
    /// How a gradient becomes a step.
    pub optimizer: Optimizer,
    /// Largest norm of a gradient.
    pub clip_norm: Option<f64>,
    /// Whether the anchor, where there is one, counts; else the weight is pulled towards 0.
    pub anchored: bool,
}

/// A head's loss of one row with logits z and targets t.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −Σ t log softmax(z).
    Softmax,
    /// Σ softplus(z) − t·z.
    Sigmoid,
    /// ½ Σ (z − t)².
    Squared,
    /// Σ of ½r² up to |r| = δ, and δ(|r| − δ/2) beyond, r = z − t.
    Huber,
}

/// Where a head finds its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Index into [`Problem::labels`].
    Labels(usize),
    /// Index into [`Problem::values`].
    Values(usize),
}

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// There is none: the objective is evaluated alone.
    None,
    /// Gradient descent, with momentum where it is not 0.
    Sgd {
        /// Share of the velocity that stays.
        momentum: f64,
        /// Whether a step looks ahead by one velocity.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    AdamW {
        /// Shares of the two moments that stay.
        beta: [f64; 2],
        /// Added to the root of the second.
        epsilon: f64,
        /// Share of the weight that a learning rate of 1 takes away.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// Moments that it keeps for each parameter.
    pub(super) fn moments(&self) -> usize {
        match *self {
            Self::None => 0,
            Self::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            Self::AdamW { .. } => 2,
        }
    }
}

impl<'a, T: Real> Features<'a, T> {
    /// (n, in), once rows are known to be slices.
    pub(super) fn check(&self) -> Result<[usize; 2], Error> {
        let shape = match self {
            Self::Same(view) => {
                check_rows("features", view)?;
                view.shape()
            }
            Self::Half { bits, .. } => {
                check_rows("features", bits)?;
                bits.shape()
            }
        };
        let single = T::EXPONENT_SHIFT == f32::EXPONENT_SHIFT;
        if matches!(self, Self::Half { .. }) && !single {
            return Err(Error::Layout {
                argument: "features",
                problem: "has sixteen bits, which are computed in float32; pass float32 parameters",
            });
        }
        match *shape {
            [rows, columns] => Ok([rows, columns]),
            _ => Err(Error::Shape {
                argument: "features",
                given: shape.to_vec(),
                allowed: "two axes, (rows, columns); reshape it".to_owned(),
            }),
        }
    }
}

/// Shift and scale have one number for each of `columns`.
pub(super) fn check_affine<T>(
    shift: Option<&[T]>,
    scale: Option<&[T]>,
    columns: usize,
) -> Result<(), Error> {
    for (argument, numbers) in [("shift", shift), ("scale", scale)] {
        if let Some(numbers) = numbers {
            check_shape(argument, &[numbers.len()], &[columns], "features")?;
        }
    }
    Ok(())
}

/// All of `order` are rows.
pub(super) fn check_order(order: Option<&[i64]>, rows: usize) -> Result<(), Error> {
    let outside = |row: &&i64| usize::try_from(**row).map_or(true, |row| row >= rows);
    match order.and_then(|order| order.iter().find(outside)) {
        None => Ok(()),
        Some(row) => Err(Error::Value {
            argument: "order",
            given: row.to_string(),
            allowed: "a row of features, counted from 0",
        }),
    }
}

/// Sizes of a problem that passed [`Problem::check`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Rows of features.
    pub(super) rows: usize,
    /// Columns of features.
    pub(super) columns: usize,
    /// Rows of the parameters.
    pub(super) outputs: usize,
    /// Rows that are visited.
    pub(super) visits: usize,
}

impl<T: Real> Problem<'_, T> {
    /// That all arrays have the sizes that follow from the features and the heads, that `order`
    /// names rows, and that the labels of the rows which it names are outputs of their heads.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Layout`] and [`Error::Value`], naming the array.
    pub fn check(&self) -> Result<(), Error> {
        self.sizes().map(|_| ())
    }

    pub(super) fn sizes(&self) -> Result<Sizes, Error> {
        let [rows, columns] = self.features.check()?;
        check_affine(self.shift, self.scale, columns)?;
        check_order(self.order, rows)?;
        for &labels in &self.labels {
            check_shape("labels", &[labels.len()], &[rows], "features")?;
        }
        for &weights in &self.weights {
            check_shape("weights", &[weights.len()], &[rows], "features")?;
        }
        let mut ranges: Vec<Option<[i64; 2]>> = vec![None; self.labels.len()];
        let mut outputs = 0_usize;
        for head in &self.heads {
            outputs = outputs
                .checked_add(head.outputs)
                .filter(|_| head.outputs > 0)
                .ok_or_else(|| number("outputs", head.outputs, "at least 1, and fit the memory"))?;
            self.check_targets(head, rows, &mut ranges)?;
            if let Some(index) = head.weights
                && index >= self.weights.len()
            {
                return Err(number(
                    "weights",
                    index,
                    "an index into the list of weights",
                ));
            }
        }
        if outputs == 0 {
            return Err(number("heads", 0, "at least 1"));
        }
        // Labels are told apart in the lanes, as T.
        if outputs >= 1 << 24 {
            return Err(Error::TooLarge {
                what: "the heads' outputs together",
            });
        }
        Ok(Sizes {
            rows,
            columns,
            outputs,
            visits: self.order.map_or(rows, <[i64]>::len),
        })
    }

    fn check_targets(
        &self,
        head: &Head,
        rows: usize,
        ranges: &mut [Option<[i64; 2]>],
    ) -> Result<(), Error> {
        match head.targets {
            Targets::Values(index) => {
                let Some(values) = self.values.get(index) else {
                    return Err(number("values", index, "an index into the list of values"));
                };
                check_rows("values", values)?;
                check_shape("values", values.shape(), &[rows, head.outputs], "the heads")
            }
            Targets::Labels(index) => {
                let Some(&labels) = self.labels.get(index) else {
                    return Err(number("labels", index, "an index into the list of labels"));
                };
                let end = match (head.loss, head.outputs) {
                    (Loss::Softmax, outputs) => outputs as i64,
                    (Loss::Sigmoid, 1) => 2,
                    (_, outputs) => {
                        let allowed = "values, but for softmax and for sigmoid with one output";
                        return Err(number("targets", outputs, allowed));
                    }
                };
                let [low, high] = *ranges[index].get_or_insert_with(|| range(labels, self.order));
                let wrong = if low < 0 { low } else { high };
                if low < 0 || high >= end {
                    return Err(Error::Value {
                        argument: "labels",
                        given: wrong.to_string(),
                        allowed: "an output of its head, counted from 0 (0 or 1 for sigmoid)",
                    });
                }
                Ok(())
            }
        }
    }
}

/// The least and the largest of the labels that are visited; 0 and 0 where none is.
fn range(labels: &[i64], order: Option<&[i64]>) -> [i64; 2] {
    let widen = |[low, high]: [i64; 2], label: i64| [low.min(label), high.max(label)];
    match order {
        None => labels
            .iter()
            .fold([0; 2], |both, &label| widen(both, label)),
        Some(order) => order
            .iter()
            .fold([0; 2], |both, &row| widen(both, labels[row as usize])),
    }
}

fn number(argument: &'static str, given: usize, allowed: &'static str) -> Error {
    Error::Value {
        argument,
        given: given.to_string(),
        allowed,
    }
}
