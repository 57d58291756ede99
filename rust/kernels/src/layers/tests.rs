use super::naive;
use super::samples::{
    COLUMNS, LAYOUTS, Layout, Sample, assert_bits_do_not_depend_on_the_width, on_every_level, unit,
    written,
};
use super::{Approximation, gelu, layer_norm};
use crate::simd::{Level, Real, levels};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

const KINDS: [Approximation; 2] = [Approximation::None, Approximation::Tanh];

/// Shapes of rank 0 to 4, with empty axes, less than a tile and several tiles.
fn shapes() -> Vec<Vec<usize>> {
    let mut shapes: Vec<_> = COLUMNS.iter().map(|&columns| vec![3, columns]).collect();
    shapes.extend([
        vec![5],
        vec![0],
        vec![0, 7],
        vec![2, 3, 17],
        vec![2, 1, 3, 9],
    ]);
    shapes.extend([
        vec![45, 1000],
        vec![40_001],
        vec![2, 17_000],
        vec![20_011, 2],
    ]);
    shapes
}

/// The largest error that gelu states, for a true value of `truth`.
fn gelu_bound<T: Real>(x: f64, truth: f64) -> f64 {
    (9.0 + 3.0 * x * x) * unit::<T>() * truth.abs() + x.abs() * T::SMALLEST_NORMAL.to_f64()
}

fn gelu_is_its_formula<T: Real>() {
    on_every_level(|name, level| {
        for (shape, layout) in shapes()
            .iter()
            .flat_map(|s| LAYOUTS.map(|layout| (s, layout)))
        {
            let x = Sample::<T>::random(shape, layout, 1);
            for kind in KINDS {
                let out = written(shape, layout, level, 2, |out, context| {
                    gelu(x.view(), kind, out, context)
                });
                for (x, got) in x.truth().into_iter().zip(out.truth()) {
                    let truth = naive::gelu(x, kind);
                    // The twin computes in float64 too.
                    let bound = gelu_bound::<T>(x, truth) + gelu_bound::<f64>(x, truth);
                    assert!(
                        (got - truth).abs() <= bound,
                        "{name} {shape:?} {layout:?} {kind:?}({x}) = {got}, not {truth}"
                    );
                }
            }
        }
    });
}

#[test]
fn gelu_is_its_formula_in_float32() {
    gelu_is_its_formula::<f32>();
}

#[test]
fn gelu_is_its_formula_in_float64() {
    gelu_is_its_formula::<f64>();
}

#[test]
fn gelu_keeps_its_stated_error_over_all_of_float32() {
    let x: Vec<f32> = (0..=u32::MAX)
        .step_by(9973)
        .map(f32::from_bits)
        .filter(|x| x.is_finite())
        .collect();
    on_every_level(|name, level| {
        for kind in KINDS {
            let out = written(&[x.len()], Layout::Contiguous, level, 1, |out, context| {
                gelu(View::contiguous(&x, &[x.len()])?, kind, out, context)
            });
            for (&x, got) in x.iter().zip(out.truth()) {
                let x = f64::from(x);
                let truth = naive::gelu(x, kind);
                let bound = gelu_bound::<f32>(x, truth).max(1e-45);
                assert!(
                    (got - truth).abs() <= bound,
                    "{name} {kind:?}({x}) = {got}, not {truth}"
                );
            }
        }
    });
}

fn gelu_at_the_ends<T: Real>() {
    let x = [T::NAN, -T::NEG_INFINITY, T::NEG_INFINITY, T::ZERO, -T::ZERO];
    on_every_level(|name, level| {
        for kind in KINDS {
            let out = written(&[5], Layout::Contiguous, level, 1, |out, context| {
                gelu(View::contiguous(&x, &[5])?, kind, out, context)
            });
            let got = out.truth();
            assert!(got[0].is_nan(), "{name} {kind:?}: a NaN shows");
            assert_eq!(got[1], f64::INFINITY, "{name} {kind:?}");
            assert!(got[2].is_nan(), "{name} {kind:?}: −∞·Φ(−∞) is −∞·0");
            assert_eq!(got[3].to_bits(), 0.0_f64.to_bits(), "{name} {kind:?}");
            assert_eq!(got[4].to_bits(), (-0.0_f64).to_bits(), "{name} {kind:?}");
        }
    });
}

#[test]
fn gelu_at_the_ends_is_as_the_formula_has_it() {
    gelu_at_the_ends::<f32>();
    gelu_at_the_ends::<f64>();
}

/// The error of a sum of n terms in layer_norm's order, in units of u times the sum of magnitudes.
fn sum_depth(count: usize) -> f64 {
    (count.min(4096) / 16) as f64 + 8.0 + (count / 4096) as f64
}

fn layer_norm_is_its_formula<T: Real>() {
    let epsilon = 1e-5;
    let mut shapes = shapes();
    // More than one piece of a row.
    shapes.push(vec![70_001]);
    on_every_level(|name, level| {
        for (shape, layout) in shapes
            .iter()
            .flat_map(|s| LAYOUTS.map(|layout| (s, layout)))
        {
            let columns = shape[shape.len() - 1];
            let x = Sample::<T>::random(shape, layout, 2);
            let weight = Sample::<T>::random(&[columns], Layout::Contiguous, 3);
            let bias = Sample::<T>::random(&[columns], Layout::Contiguous, 4);
            for (weighted, biased) in [(false, false), (true, false), (false, true), (true, true)] {
                // One kind is enough where only the size matters.
                if shape.iter().product::<usize>() > 10_000 && !(weighted && biased) {
                    continue;
                }
                let out = written(shape, layout, level, 2, |out, context| {
                    let weight = weighted.then(|| weight.view());
                    let bias = biased.then(|| bias.view());
                    layer_norm(x.view(), weight, bias, T::from_f64(epsilon), out, context)
                });
                let (weight, bias) = (weight.truth(), bias.truth());
                let (x, out) = (x.truth(), out.truth());
                let rows = x.chunks(columns.max(1)).zip(out.chunks(columns.max(1)));
                for (row, (x, got)) in rows.enumerate() {
                    let weight = weighted.then_some(&weight[..]);
                    let bias = biased.then_some(&bias[..]);
                    let normal = naive::layer_norm(x, None, None, epsilon);
                    let truth = naive::layer_norm(x, weight, bias, epsilon);
                    let spread = {
                        let mean = x.iter().sum::<f64>() / columns as f64;
                        let squares = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
                        (squares / columns as f64 + epsilon).sqrt()
                    };
                    let magnitude = x.iter().map(|x| x.abs()).sum::<f64>() / columns as f64;
                    let depth = sum_depth(columns);
                    for c in 0..columns {
                        let of_mean = (depth + 2.0) * magnitude / spread;
                        let of_scale = (depth / 2.0 + 8.0) * normal[c].abs();
                        let bound = unit::<T>()
                            * ((of_mean + of_scale) * weight.map_or(1.0, |w| w[c].abs())
                                + 4.0 * truth[c].abs())
                            + 1e-15;
                        assert!(
                            (got[c] - truth[c]).abs() <= bound,
                            "{name} {shape:?} {layout:?} row {row} column {c}: {} not {}",
                            got[c],
                            truth[c]
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn layer_norm_is_its_formula_in_float32() {
    layer_norm_is_its_formula::<f32>();
}

#[test]
fn layer_norm_is_its_formula_in_float64() {
    layer_norm_is_its_formula::<f64>();
}

fn normalised(x: &Sample<f32>, shape: &[usize], level: Level, threads: usize) -> Sample<f32> {
    written(shape, Layout::Contiguous, level, threads, |out, context| {
        layer_norm(x.view(), None, None, 1e-5, out, context)
    })
}

#[test]
fn a_nan_stays_in_its_row() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let x = Sample::<f32>::new(
            &[3, 50],
            Layout::Gaps,
            |i| if i == 99 { bad } else { i as f64 },
        );
        on_every_level(|name, level| {
            let out = normalised(&x, &[3, 50], level, 1).truth();
            assert!(out[50..100].iter().all(|x| x.is_nan()), "{name}");
            assert!(
                out[..50].iter().chain(&out[100..]).all(|x| x.is_finite()),
                "{name}"
            );
        });
    }
}

#[test]
fn a_constant_row_becomes_zeros() {
    let x = Sample::<f32>::new(&[2, 48], Layout::Contiguous, |_| 3.25);
    on_every_level(|_, level| {
        assert!(
            normalised(&x, &[2, 48], level, 1)
                .truth()
                .iter()
                .all(|&x| x == 0.0)
        );
    });
}

#[test]
fn a_row_has_the_same_bits_alone_and_at_1_2_3_and_7_threads() {
    let shape = [97, 777];
    let x = Sample::<f32>::random(&shape, Layout::Gaps, 5);
    on_every_level(|name, level| {
        let all = normalised(&x, &shape, level, 1).bits();
        for threads in [2, 3, 7] {
            assert_eq!(
                all,
                normalised(&x, &shape, level, threads).bits(),
                "{name} {threads}"
            );
        }
        for row in [0, 41, 96] {
            let elements = x.elements();
            let alone = Sample::<f32>::new(&[777], Layout::Contiguous, |i| {
                f64::from(elements[777 * row + i])
            });
            let alone = normalised(&alone, &[777], level, 1).bits();
            assert_eq!(all[777 * row..][..777], alone, "{name} row {row}");
        }
    });
}

#[test]
fn gelu_has_the_same_bits_in_every_layout_and_at_1_2_3_and_7_threads() {
    let shape = [3, 41, 333];
    on_every_level(|name, level| {
        for kind in KINDS {
            let bits = |layout, threads| {
                let x = Sample::<f64>::random(&shape, layout, 6);
                written(&shape, layout, level, threads, |out, context| {
                    gelu(x.view(), kind, out, context)
                })
                .bits()
            };
            let first = bits(Layout::Contiguous, 1);
            for (layout, threads) in LAYOUTS.into_iter().zip([2, 3, 7]) {
                assert_eq!(
                    first,
                    bits(layout, threads),
                    "{name} {kind:?} {layout:?} {threads}"
                );
            }
        }
    });
}

#[test]
fn vectors_of_any_width_give_the_same_bits() {
    let shape = [5, 1003];
    let x = Sample::<f32>::random(&shape, Layout::Contiguous, 8);
    assert_bits_do_not_depend_on_the_width(|level| normalised(&x, &shape, level, 1).bits());
    for kind in KINDS {
        assert_bits_do_not_depend_on_the_width(|level| {
            written(&shape, Layout::Contiguous, level, 1, |out, context| {
                gelu(x.view(), kind, out, context)
            })
            .bits()
        });
    }
}

/// The error of a call that cannot work.
fn refused(
    x: View<f32>,
    weight: Option<View<f32>>,
    bias: Option<View<f32>>,
    out: ViewMut<f32>,
    cancelled: bool,
) -> Error {
    let context = Context {
        level: levels()[0].1,
        threads: 1,
        cancelled: &|| cancelled,
    };
    layer_norm(x, weight, bias, 1e-5, out, &context).expect_err("refused")
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let x = Sample::<f32>::random(&[4, 6], Layout::Contiguous, 9);
    let short = Sample::<f32>::random(&[5], Layout::Contiguous, 9);
    let mut out = Sample::<f32>::random(&[4, 6], Layout::Gaps, 9);
    let mut other = Sample::<f32>::random(&[6, 4], Layout::Gaps, 9);

    let error = refused(x.view(), Some(short.view()), None, out.view_mut(), false);
    assert!(
        error.to_string().starts_with("weight has shape (5,)"),
        "{error}"
    );
    let error = refused(x.view(), None, Some(short.view()), out.view_mut(), false);
    assert!(
        error.to_string().starts_with("bias has shape (5,)"),
        "{error}"
    );
    let error = refused(x.view(), None, None, other.view_mut(), false);
    assert!(
        error.to_string().starts_with("out has shape (6, 4)"),
        "{error}"
    );

    let memory = [0.0; 48];
    let gaps = View::new(&memory, 0, &[4, 6], &[12, 2]).expect("inside");
    let error = refused(gaps, None, None, out.view_mut(), false);
    assert!(
        matches!(error, Error::Layout { argument: "x", .. }),
        "{error}"
    );
    let scalar = View::contiguous(&memory, &[]).expect("inside");
    let mut one = [0.0];
    let error = refused(
        scalar,
        None,
        None,
        ViewMut::contiguous(&mut one, &[]).expect("one"),
        false,
    );
    assert!(
        matches!(error, Error::Layout { argument: "x", .. }),
        "{error}"
    );
}

#[test]
fn a_cancelled_call_says_so() {
    let shape = [64, 4096];
    let x = Sample::<f32>::random(&shape, Layout::Contiguous, 10);
    let mut out = Sample::<f32>::random(&shape, Layout::Contiguous, 10);
    // The caller asks every 20 ms, and not in its first tile for certain.
    std::thread::sleep(std::time::Duration::from_millis(25));
    assert_eq!(
        refused(x.view(), None, None, out.view_mut(), true),
        Error::Interrupted
    );
}
