use super::rotary;
use crate::layers::samples::{
    COLUMNS, LAYOUTS, Layout, Sample, assert_bits_do_not_depend_on_the_width, on_every_level, unit,
    written,
};
use crate::simd::{Real, levels};
use crate::view::View;
use crate::{Context, Error};

/// One row turned, in float64, and the magnitude of what was added up.
fn naive(x: &[f64], cosine: &[f64], sine: &[f64], interleaved: bool) -> Vec<(f64, f64)> {
    let half = cosine.len();
    let mut out: Vec<_> = x.iter().map(|&x| (x, 0.0)).collect();
    for (c, (cosine, sine)) in cosine.iter().zip(sine).enumerate() {
        let (a, b) = if interleaved {
            (2 * c, 2 * c + 1)
        } else {
            (c, c + half)
        };
        let sum = |first: f64, second: f64| (first + second, first.abs() + second.abs());
        out[a] = sum(x[a] * cosine, -x[b] * sine);
        out[b] = sum(x[b] * cosine, x[a] * sine);
    }
    out
}

fn is_its_formula<T: Real>() {
    on_every_level(|name, level| {
        for (&half, layout) in COLUMNS
            .iter()
            .flat_map(|c| LAYOUTS.map(|layout| (c, layout)))
        {
            for (copied, interleaved) in [(0, false), (3, false), (0, true), (3, true)] {
                let columns = 2 * half + copied;
                let (shape, angles) = ([2, 2, 5, columns], [2, 2, 5, half]);
                let x = Sample::<T>::random(&shape, layout, 1);
                let cosine = Sample::<T>::random(&angles, layout, 2);
                let sine = Sample::<T>::random(&angles, Layout::Contiguous, 3);
                let out = written(&shape, layout, level, 2, |out, context| {
                    rotary(
                        x.view(),
                        cosine.view(),
                        sine.view(),
                        interleaved,
                        out,
                        context,
                    )
                });
                let (x, out) = (x.truth(), out.truth());
                let (cosine, sine) = (cosine.truth(), sine.truth());
                for row in 0..20 {
                    let angles = half * row..half * (row + 1);
                    let row = columns * row..columns * (row + 1);
                    let (cosine, sine) = (&cosine[angles.clone()], &sine[angles]);
                    let truth = naive(&x[row.clone()], cosine, sine, interleaved);
                    for (got, (truth, magnitude)) in out[row].iter().zip(truth) {
                        let bound = 2.0 * unit::<T>() * magnitude;
                        assert!(
                            (got - truth).abs() <= bound,
                            "{name} {half} {copied} {layout:?} {interleaved}: {got} not {truth}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn rotary_is_its_formula_in_float32() {
    is_its_formula::<f32>();
}

#[test]
fn rotary_is_its_formula_in_float64() {
    is_its_formula::<f64>();
}

#[test]
fn angle_zero_changes_nothing_and_what_is_beyond_is_copied() {
    let shape = [7, 20];
    let x = Sample::<f32>::new(&shape, Layout::Gaps, |i| {
        if i % 20 > 15 { f64::NAN } else { i as f64 }
    });
    let (one, zero) = ([1.0; 8], [0.0; 8]);
    on_every_level(|name, level| {
        for interleaved in [false, true] {
            let out = written(&shape, Layout::Contiguous, level, 1, |out, context| {
                let cosine = View::new(&one, 0, &[7, 8], &[0, 1])?;
                let sine = View::new(&zero, 0, &[7, 8], &[0, 1])?;
                rotary(x.view(), cosine, sine, interleaved, out, context)
            });
            assert_eq!(x.bits(), out.bits(), "{name} {interleaved}");
        }
    });
}

#[test]
fn the_same_bits_at_any_width_and_at_1_2_3_and_7_threads() {
    let (shape, angles) = ([4, 300, 70], [4, 300, 35]);
    let x = Sample::<f32>::random(&shape, Layout::Gaps, 4);
    let cosine = Sample::<f32>::random(&angles, Layout::Contiguous, 5);
    let sine = Sample::<f32>::random(&angles, Layout::Contiguous, 6);
    for interleaved in [false, true] {
        let bits = |level, threads| {
            written(
                &shape,
                Layout::Contiguous,
                level,
                threads,
                |out, context| {
                    rotary(
                        x.view(),
                        cosine.view(),
                        sine.view(),
                        interleaved,
                        out,
                        context,
                    )
                },
            )
            .bits()
        };
        assert_bits_do_not_depend_on_the_width(|level| bits(level, 1));
        on_every_level(|name, level| {
            let first = bits(level, 1);
            for threads in [2, 3, 7] {
                assert_eq!(
                    first,
                    bits(level, threads),
                    "{name} {interleaved} {threads}"
                );
            }
        });
    }
}

#[test]
fn angles_that_do_not_fit_are_refused_by_name() {
    let context = Context {
        level: levels()[0].1,
        threads: 1,
        cancelled: &|| false,
    };
    let x = Sample::<f32>::random(&[3, 8], Layout::Contiguous, 7);
    for angles in [[3, 5], [2, 4]] {
        let angles = Sample::<f32>::random(&angles, Layout::Contiguous, 8);
        let mut out = Sample::<f32>::random(&[3, 8], Layout::Contiguous, 7);
        let error = rotary(
            x.view(),
            angles.view(),
            angles.view(),
            false,
            out.view_mut(),
            &context,
        );
        let error = error.expect_err("refused");
        assert!(
            matches!(
                error,
                Error::Shape {
                    argument: "cosine",
                    ..
                }
            ),
            "{error}"
        );
    }
}
