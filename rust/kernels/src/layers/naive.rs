//! Scalar twins, in float64 whatever the kernel computes in: what the tests compare with.

use super::Approximation;

/// x·Φ(x).
pub(crate) fn gelu(x: f64, approximation: Approximation) -> f64 {
    match approximation {
        Approximation::None => {
            let half = 0.5 * erfc(x.abs() / std::f64::consts::SQRT_2);
            x * if x > 0.0 { 1.0 - half } else { half }
        }
        Approximation::Tanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            x / (1.0 + (-2.0 * u).exp())
        }
    }
}

/// 1 − erf x for x ≥ 0: by the series of positive terms e^(−x²)·2/√π·Σ 2ⁿx²ⁿ⁺¹/(2n+1)!! where that
/// loses at most a digit, else by the continued fraction.
fn erfc(x: f64) -> f64 {
    let gauss = (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI;
    if x.is_nan() {
        return x;
    }
    if x < 0.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - gauss * sum;
    }
    let terms = 40 + (200.0 / (x * x)) as u32;
    let fraction = (1..terms)
        .rev()
        .fold(x, |rest, n| x + 0.5 * f64::from(n) / rest);
    if gauss == 0.0 {
        0.0
    } else {
        0.5 * gauss / fraction
    }
}

/// One row.
pub(crate) fn layer_norm(
    x: &[f64],
    weight: Option<&[f64]>,
    bias: Option<&[f64]>,
    epsilon: f64,
) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    x.iter()
        .enumerate()
        .map(|(i, x)| {
            let normal = (x - mean) / (variance + epsilon).sqrt();
            normal * weight.map_or(1.0, |w| w[i]) + bias.map_or(0.0, |b| b[i])
        })
        .collect()
}
