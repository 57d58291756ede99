//! Attention by its formula, one query after the other, in plain loops and in float64.

use super::problem::Problem;
use crate::simd::Real;
use crate::view::View;

/// What one query gives.
pub(super) struct Row {
    /// The weights of all keys; hidden ones have 0.
    pub(super) weights: Vec<f64>,
    pub(super) out: Vec<f64>,
    /// `Σ w |v|` of each output element: what its rounding errors are proportional to.
    pub(super) size: Vec<f64>,
    pub(super) lse: f64,
    /// The largest sum of absolute values that a visible score is made from.
    pub(super) terms: f64,
}

/// Every query's row, in the order (lead…, heads, queries).
pub(super) fn attention<T: Real>(problem: &Problem<'_, T>) -> Vec<Row> {
    let rank = problem.query.rank();
    let shape = problem.query.shape();
    let (heads, queries) = (shape[rank - 3], shape[rank - 2]);
    let items: usize = shape[..rank - 3].iter().product();
    let mut rows = Vec::new();
    for item in 0..items {
        for head in 0..heads {
            for query in 0..queries {
                rows.push(row(problem, item, head, query));
            }
        }
    }
    rows
}

fn row<T: Real>(problem: &Problem<'_, T>, item: usize, head: usize, query: usize) -> Row {
    let rank = problem.query.rank();
    let (heads, queries) = (
        problem.query.shape()[rank - 3],
        problem.query.shape()[rank - 2],
    );
    let (key_heads, keys) = (problem.key.shape()[rank - 3], problem.key.shape()[rank - 2]);
    let at = item * heads + head;
    let shared = item * key_heads + head / (heads / key_heads);
    let (q, k) = (problem.query.plane(at), problem.key.plane(shared));
    let number = |view: View<'_, T>| view.line(item).get(head).to_f64();

    let length = problem
        .key_lengths
        .map_or(keys as i128, |view| i128::from(of_item(&view, item)));
    let offset = problem
        .query_offset
        .map_or(length - queries as i128, |view| {
            i128::from(of_item(&view, item))
        });
    let p = query as i128 + offset;
    let visible = |key: usize| {
        let j = key as i128;
        j < length
            && !(problem.causal && p < j)
            && problem.window_left.is_none_or(|left| p <= j + left as i128)
            && problem
                .window_right
                .is_none_or(|right| p >= j - right as i128)
            && problem
                .mask
                .is_none_or(|mask| mask.plane(at).get(query, key) != 0)
            && problem
                .bias
                .is_none_or(|bias| bias.plane(at).get(query, key) != T::NEG_INFINITY)
    };

    let mut terms: f64 = 0.0;
    let mut scores = vec![None; keys];
    for (key, score) in scores.iter_mut().enumerate() {
        if !visible(key) {
            continue;
        }
        let (mut sum, mut size) = (0.0, 0.0);
        for d in 0..q.columns() {
            let product = q.get(query, d).to_f64() * k.get(key, d).to_f64();
            sum += product;
            size += product.abs();
        }
        let scale = problem.scale.to_f64();
        (sum, size) = (sum * scale, size * scale.abs());
        if let Some(cap) = problem.softcap.map(T::to_f64) {
            sum = cap * (sum / cap).tanh();
        }
        if let Some(slopes) = problem.alibi_slopes {
            let distance = number(slopes) * (p - key as i128).abs() as f64;
            sum -= distance;
            size += distance.abs();
        }
        if let Some(bias) = problem.bias {
            let bias = bias.plane(at).get(query, key).to_f64();
            sum += bias;
            size += bias.abs();
        }
        terms = terms.max(size);
        *score = Some(sum);
    }
    let sink = problem.sinks.map(number);
    let highest = scores
        .iter()
        .flatten()
        .chain(&sink)
        .fold(f64::NEG_INFINITY, |m, s| m.max(*s));
    let exponential = |score: &f64| (score - highest).exp();
    let total: f64 = scores.iter().flatten().chain(&sink).map(exponential).sum();
    let weights: Vec<f64> = scores
        .iter()
        .map(|score| score.as_ref().map_or(0.0, |s| exponential(s) / total))
        .collect();

    let columns = problem.value.map_or(0, |value| value.shape()[rank - 1]);
    let (mut out, mut size) = (vec![0.0; columns], vec![0.0; columns]);
    if let Some(value) = problem.value {
        let value = value.plane(shared);
        for key in (0..keys).filter(|key| scores[*key].is_some()) {
            for column in 0..columns {
                let term = weights[key] * value.get(key, column).to_f64();
                out[column] += term;
                size[column] += term.abs();
            }
        }
    }
    Row {
        weights,
        out,
        size,
        lse: highest + total.ln(),
        terms,
    }
}

/// The element of an array over the lead axes.
fn of_item(view: &View<'_, i64>, item: usize) -> i64 {
    let mut index = vec![0; view.rank()];
    let mut rest = item;
    for (axis, length) in view.shape().iter().enumerate().rev() {
        index[axis] = rest % length;
        rest /= length;
    }
    view.element(&index)
}
