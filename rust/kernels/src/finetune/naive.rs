//! The formulas in scalars and float64: what the tests hold the kernels against.

use super::problem::{Features, Head, Loss, Optimizer, Problem, Targets};

/// x of row `row`, standardised, with the 1 behind it.
fn extended(problem: &Problem<'_, f64>, row: usize) -> Vec<f64> {
    let Features::Same(features) = problem.features else {
        panic!("widen the features first");
    };
    let mut x = features.plane(0).row(row).to_vec();
    for (j, x) in x.iter_mut().enumerate() {
        *x -= problem.shift.map_or(0.0, |shift| shift[j]);
        *x *= problem.scale.map_or(1.0, |scale| scale[j]);
    }
    x.push(1.0);
    x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Logits of `row`: one for each of the rows of `parameters`.
pub(super) fn logits(problem: &Problem<'_, f64>, row: usize, parameters: &[f64]) -> Vec<f64> {
    let x = extended(problem, row);
    let theta = parameters.chunks(x.len());
    theta.map(|theta| dot(theta, &x)).collect()
}

/// Loss and ∂loss/∂z of one row.
fn loss(problem: &Problem<'_, f64>, head: &Head, row: usize, z: &[f64]) -> (f64, Vec<f64>) {
    let share = match head.loss {
        Loss::Softmax => head.smoothing / head.outputs as f64,
        Loss::Sigmoid => head.smoothing / 2.0,
        _ => 0.0,
    };
    let raw = |k: usize| match (head.targets, head.loss) {
        (Targets::Values(index), _) => problem.values[index].plane(0).get(row, k),
        (Targets::Labels(index), Loss::Sigmoid) => problem.labels[index][row] as f64,
        (Targets::Labels(index), _) => f64::from(problem.labels[index][row] == k as i64),
    };
    let smooth = |t: f64| match head.loss {
        Loss::Softmax | Loss::Sigmoid => (1.0 - head.smoothing) * t + share,
        _ => t,
    };
    let t: Vec<f64> = (0..z.len()).map(|k| smooth(raw(k))).collect();
    let pairs = || z.iter().zip(&t).map(|(z, t)| (*z, *t));
    match head.loss {
        Loss::Softmax => {
            let m = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let s: f64 = z.iter().map(|z| (z - m).exp()).sum();
            (
                pairs().map(|(z, t)| t * (s.ln() - (z - m))).sum(),
                pairs().map(|(z, t)| (z - m).exp() / s - t).collect(),
            )
        }
        Loss::Sigmoid => (
            pairs()
                .map(|(z, t)| z.max(0.0) - t * z + (-z.abs()).exp().ln_1p())
                .sum(),
            pairs().map(|(z, t)| 1.0 / (1.0 + (-z).exp()) - t).collect(),
        ),
        Loss::Squared => (
            pairs().map(|(z, t)| 0.5 * (z - t) * (z - t)).sum(),
            pairs().map(|(z, t)| z - t).collect(),
        ),
        Loss::Huber => {
            let line = |r: f64| {
                if r.abs() <= head.delta {
                    0.5 * r * r
                } else {
                    head.delta * (r.abs() - head.delta / 2.0)
                }
            };
            (
                pairs().map(|(z, t)| line(z - t)).sum(),
                pairs()
                    .map(|(z, t)| (z - t).clamp(-head.delta, head.delta))
                    .collect(),
            )
        }
    }
}

/// Σ loss·w, Σw and the gradient of the former over `rows` for `head`, whose parameters begin with
/// row `start`.
pub(super) fn objective(
    problem: &Problem<'_, f64>,
    head: &Head,
    start: usize,
    rows: &[usize],
    parameters: &[f64],
) -> (f64, f64, Vec<f64>) {
    let columns = parameters.len() / problem.heads.iter().map(|h| h.outputs).sum::<usize>();
    let own = &parameters[start * columns..(start + head.outputs) * columns];
    let mut gradient = vec![0.0; own.len()];
    let (mut total, mut weights) = (0.0, 0.0);
    for &row in rows {
        let w = head
            .weights
            .map_or(1.0, |index| problem.weights[index][row]);
        let (l, e) = loss(problem, head, row, &logits(problem, row, own));
        let x = extended(problem, row);
        total += l * w;
        weights += w;
        for (g, e) in gradient.chunks_mut(columns).zip(&e) {
            for (g, x) in g.iter_mut().zip(&x) {
                *g += e * w * x;
            }
            if !head.bias {
                g[columns - 1] = 0.0;
            }
        }
    }
    (total, weights, gradient)
}

/// One epoch; returns (heads, steps) of the batches' objectives and Σw.
pub(super) fn epoch(
    problem: &Problem<'_, f64>,
    batch: usize,
    parameters: &mut [f64],
    moments: &mut [f64],
    anchor: Option<&[f64]>,
    rates: &[f64],
) -> [Vec<f64>; 2] {
    let rows: Vec<usize> = match problem.order {
        Some(order) => order.iter().map(|&row| row as usize).collect(),
        None => (0..problem.features.check().expect("checked")[0]).collect(),
    };
    let steps = rows.len().div_ceil(batch);
    let heads = problem.heads.len();
    let outputs: usize = problem.heads.iter().map(|head| head.outputs).sum();
    let columns = parameters.len() / outputs;
    let mut found = [vec![0.0; heads * steps], vec![0.0; heads * steps]];
    for (step, rows) in rows.chunks(batch).enumerate() {
        let before = parameters.to_vec();
        let mut start = 0;
        for (index, head) in problem.heads.iter().enumerate() {
            let (total, sum, mut g) = objective(problem, head, start, rows, &before);
            let inverse = if sum == 0.0 { 0.0 } else { 1.0 / sum };
            let own = start * columns..(start + head.outputs) * columns;
            let mut penalty = 0.0;
            for (i, g) in g.iter_mut().enumerate() {
                *g *= inverse;
                if i % columns != columns - 1 {
                    let at = own.start + i;
                    let anchor = anchor.filter(|_| head.anchored).map_or(0.0, |a| a[at]);
                    let apart = before[at] - anchor;
                    penalty += apart * apart;
                    *g += head.l2 * apart;
                }
            }
            found[0][index * steps + step] = total * inverse + head.l2 / 2.0 * penalty;
            found[1][index * steps + step] = sum;
            if let Some(longest) = head.clip_norm {
                let factor = (longest / (dot(&g, &g).sqrt() + 1e-6)).min(1.0);
                g.iter_mut().for_each(|g| *g *= factor);
            }
            let rate = &rates[(index * steps + step) * 3..][..3];
            let size = parameters.len();
            for (i, &g) in g.iter().enumerate() {
                let at = own.start + i;
                let weight = i % columns != columns - 1;
                let theta = &mut parameters[at];
                match head.optimizer {
                    Optimizer::None => {}
                    Optimizer::Sgd { momentum, nesterov } => {
                        let mut d = g;
                        if momentum != 0.0 {
                            let v = &mut moments[at];
                            *v = momentum * *v + g;
                            d = if nesterov { momentum * *v + g } else { *v };
                        }
                        *theta -= rate[0] * d;
                    }
                    Optimizer::AdamW {
                        beta,
                        epsilon,
                        weight_decay,
                    } => {
                        if !weight && !head.bias {
                            continue;
                        }
                        if weight {
                            *theta *= 1.0 - rate[0] * weight_decay;
                        }
                        let m = beta[0] * moments[at] + (1.0 - beta[0]) * g;
                        let v = beta[1] * moments[size + at] + (1.0 - beta[1]) * g * g;
                        (moments[at], moments[size + at]) = (m, v);
                        *theta -= rate[1] * m / (v.sqrt() * rate[2] + epsilon);
                    }
                }
            }
            start += head.outputs;
        }
    }
    found
}

/// Mean and deviation of column `column` over `rows`.
pub(super) fn moments(
    value: impl Fn(usize) -> f64,
    weight: impl Fn(usize) -> f64,
    rows: &[usize],
) -> [f64; 2] {
    let total: f64 = rows.iter().map(|&row| weight(row)).sum();
    let mean = rows
        .iter()
        .map(|&row| weight(row) * value(row))
        .sum::<f64>()
        / total;
    let square = |row: usize| weight(row) * (value(row) - mean) * (value(row) - mean);
    let deviation = (rows.iter().map(|&row| square(row)).sum::<f64>() / total).sqrt();
    [
        mean,
        if deviation <= 1e-12 * mean.abs() {
            1.0
        } else {
            deviation
        },
    ]
}
