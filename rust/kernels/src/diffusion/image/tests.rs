use super::{Conductance, image};
use crate::diffusion::samples::uniform;
use crate::layers::samples::on_every_level;
use crate::simd::{Level, Real};
use crate::{Context, Error};

const KINDS: [Conductance; 2] = [Conductance::Exponential, Conductance::Reciprocal];

/// The formula in float64, pixel by pixel.
fn truth(
    u: &[f64],
    shape: [usize; 3],
    channels: usize,
    edge: f64,
    kind: Conductance,
    dt: f64,
) -> Vec<f64> {
    let pixels: usize = shape.iter().product();
    let strides = [shape[1] * shape[2], shape[2], 1];
    let mut out = u.to_vec();
    for pixel in 0..pixels {
        for axis in 0..3 {
            let at = pixel / strides[axis] % shape[axis];
            let low = (at > 0).then(|| pixel - strides[axis]);
            let high = (at + 1 < shape[axis]).then(|| pixel + strides[axis]);
            for other in [low, high].into_iter().flatten() {
                let difference = |c: usize| u[c * pixels + other] - u[c * pixels + pixel];
                let square: f64 = (0..channels).map(|c| difference(c).powi(2)).sum();
                let g = match kind {
                    Conductance::Exponential => (-square / (edge * edge)).exp(),
                    Conductance::Reciprocal => 1.0 / (1.0 + square / (edge * edge)),
                };
                for c in 0..channels {
                    out[c * pixels + pixel] += dt * g * difference(c);
                }
            }
        }
    }
    out
}

fn smoothed<T: Real>(
    u: &[T],
    shape: [usize; 3],
    channels: usize,
    steps: usize,
    kind: Conductance,
    (level, threads): (Level, usize),
) -> Vec<T> {
    let mut out = vec![T::from_f64(77.0); u.len()];
    let context = Context {
        level,
        threads,
        cancelled: &|| false,
    };
    image(
        u, shape, channels, &mut out, steps, 0.3, kind, 0.1, &context,
    )
    .expect("valid");
    out
}

fn is_its_formula<T: Real>(bound: f64) {
    for shape in [[1, 1, 1], [1, 2, 1], [1, 3, 40], [3, 2, 19], [1, 400, 50]] {
        for channels in [1, 3] {
            let u = uniform::<T>(6, channels * shape.iter().product::<usize>());
            for kind in KINDS {
                let mut want: Vec<f64> = u.iter().map(|u| u.to_f64()).collect();
                for _ in 0..3 {
                    want = truth(&want, shape, channels, 0.3, kind, 0.1);
                }
                on_every_level(|name, level| {
                    let got = smoothed(&u, shape, channels, 3, kind, (level, 2));
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        assert!(
                            (got.to_f64() - want).abs() <= bound,
                            "{name} {shape:?} × {channels} {kind:?} at {i}: {} not {want}",
                            got.to_f64()
                        );
                    }
                });
            }
        }
    }
}

#[test]
fn every_kind_is_its_formula() {
    is_its_formula::<f64>(1e-14);
    is_its_formula::<f32>(1e-6);
}

#[test]
fn the_same_bits_for_any_threads() {
    for (shape, channels) in [([1, 500, 70], 1), ([9, 50, 40], 2)] {
        let u = uniform::<f32>(6, channels * shape.iter().product::<usize>());
        for kind in KINDS {
            let one = smoothed(&u, shape, channels, 4, kind, (Level::new(), 1));
            for threads in [2, 7] {
                let all = smoothed(&u, shape, channels, 4, kind, (Level::new(), threads));
                assert_eq!(one, all);
            }
        }
    }
}

#[test]
fn an_edge_much_higher_than_the_scale_stays() {
    let u: Vec<f32> = (0..600)
        .map(|i| if i % 30 < 15 { 0.0 } else { 1e3 })
        .collect();
    let exponential = KINDS[0];
    let out = smoothed(&u, [1, 20, 30], 1, 50, exponential, (Level::new(), 2));
    assert_eq!(out, u);
}

#[test]
fn a_wrong_size_is_refused() {
    let context = Context {
        level: Level::new(),
        threads: 1,
        cancelled: &|| false,
    };
    let mut out = vec![0.0_f32; 11];
    let result = image(
        &[0.0; 12],
        [1, 3, 4],
        1,
        &mut out,
        1,
        1.0,
        KINDS[0],
        0.1,
        &context,
    );
    assert!(matches!(
        result,
        Err(Error::Shape {
            argument: "out",
            ..
        })
    ));
}
