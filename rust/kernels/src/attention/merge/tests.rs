use super::merge;
use crate::layers::samples::{
    COLUMNS, LAYOUTS, Layout, Sample, assert_bits_do_not_depend_on_the_width, on_every_level, unit,
};
use crate::simd::{Level, Real, levels};
use crate::{Context, Error};

const INFINITY: f64 = f64::INFINITY;

/// One row: (out, lse), and for each column of out the magnitude of what was added up, an error of
/// lse − peak counted with it.
fn naive(outs: &[&[f64]], lses: &[f64]) -> (Vec<(f64, f64)>, f64) {
    let mut out = vec![(0.0, 0.0); outs[0].len()];
    let seen = || outs.iter().zip(lses).filter(|(_, lse)| **lse != -INFINITY);
    let peak = seen().map(|(_, lse)| *lse).fold(-INFINITY, f64::max);
    if seen().count() == 0 {
        return (out, -INFINITY);
    }
    let total: f64 = seen().map(|(_, lse)| (lse - peak).exp()).sum();
    for (part, lse) in seen() {
        let weight = (lse - peak).exp() / total;
        for ((out, magnitude), x) in out.iter_mut().zip(*part) {
            *out += weight * x;
            *magnitude += weight * x.abs() * (1.0 + (lse - peak).abs());
        }
    }
    (out, peak + total.ln())
}

fn merged<T: Real>(
    outs: &[Sample<T>],
    lses: &[Sample<T>],
    (shape, layout): (&[usize], Layout),
    (level, threads): (Level, usize),
) -> (Sample<T>, Sample<T>) {
    let rows = [&shape[..shape.len() - 1], &[1]].concat();
    let mut out = Sample::new(shape, layout, |_| 77.0);
    let mut lse = Sample::new(&rows, layout, |_| 77.0);
    let context = Context {
        level,
        threads,
        cancelled: &|| false,
    };
    let outs: Vec<_> = outs.iter().map(Sample::view).collect();
    let lses: Vec<_> = lses.iter().map(Sample::view).collect();
    merge(&outs, &lses, out.view_mut(), lse.view_mut(), &context).expect("valid");
    (out, lse)
}

/// `parts` random parts; where `empty`, about every third lse is −∞.
fn sample<T: Real>(
    shape: &[usize],
    layout: Layout,
    parts: u64,
    empty: bool,
) -> (Vec<Sample<T>>, Vec<Sample<T>>) {
    let rows = [&shape[..shape.len() - 1], &[1]].concat();
    let outs = (0..parts)
        .map(|part| Sample::random(shape, layout, part))
        .collect();
    let lses = (0..parts)
        .map(|part| {
            let lse = Sample::<T>::random(&rows, layout, 100 + part).truth();
            Sample::new(&rows, layout, |i| {
                let is_empty = empty && (7 * i + part as usize).is_multiple_of(3);
                if is_empty { -INFINITY } else { 5.0 * lse[i] }
            })
        })
        .collect();
    (outs, lses)
}

fn is_its_formula<T: Real>() {
    on_every_level(|name, level| {
        for (&columns, layout) in COLUMNS
            .iter()
            .flat_map(|c| LAYOUTS.map(|layout| (c, layout)))
        {
            for (parts, empty) in [(1, false), (1, true), (2, false), (3, true), (5, true)] {
                let shape = [2, 3, 7, columns];
                let (outs, lses) = sample::<T>(&shape, layout, parts, empty);
                let (out, lse) = merged(&outs, &lses, (&shape, layout), (level, 2));
                let (out, lse) = (out.truth(), lse.truth());
                let outs: Vec<_> = outs.iter().map(Sample::truth).collect();
                let lses: Vec<_> = lses.iter().map(Sample::truth).collect();
                for row in 0..42 {
                    let columns = columns * row..columns * (row + 1);
                    let parts_out: Vec<_> = outs.iter().map(|out| &out[columns.clone()]).collect();
                    let parts_lse: Vec<_> = lses.iter().map(|lse| lse[row]).collect();
                    let (truth, truth_lse) = naive(&parts_out, &parts_lse);
                    let count = parts as f64;
                    for (got, (truth, magnitude)) in out[columns].iter().zip(truth) {
                        let bound = (12.0 + 2.0 * count) * unit::<T>() * magnitude;
                        assert!(
                            (got - truth).abs() <= bound,
                            "{name} {shape:?} {layout:?} {parts} parts: {got} not {truth}"
                        );
                    }
                    let bound = unit::<T>() * (8.0 + count + 4.0 * truth_lse.abs());
                    assert!(
                        lse[row] == truth_lse || (lse[row] - truth_lse).abs() <= bound,
                        "{name} {shape:?} {parts} parts: lse {} not {truth_lse}",
                        lse[row]
                    );
                }
            }
        }
    });
}

#[test]
fn merge_is_its_formula_in_float32() {
    is_its_formula::<f32>();
}

#[test]
fn merge_is_its_formula_in_float64() {
    is_its_formula::<f64>();
}

#[test]
fn a_part_alone_keeps_its_bits() {
    let shape = [50, 33];
    let (outs, lses) = sample::<f32>(&shape, Layout::Gaps, 1, false);
    on_every_level(|name, level| {
        let (out, lse) = merged(&outs, &lses, (&shape, Layout::Contiguous), (level, 1));
        assert_eq!(out.bits(), outs[0].bits(), "{name}");
        assert_eq!(lse.bits(), lses[0].bits(), "{name}");
    });
}

/// Two parts of one row of 5: the first has `x` everywhere and the lse given, the second 2 and `second`.
fn two_parts(x: f64, first: f64, second: f64, level: Level) -> (Vec<f64>, f64) {
    let row = |value| Sample::<f32>::new(&[1, 5], Layout::Contiguous, |_| value);
    let lse = |value| Sample::<f32>::new(&[1, 1], Layout::Contiguous, |_| value);
    let (out, lse) = merged(
        &[row(x), row(2.0)],
        &[lse(first), lse(second)],
        (&[1, 5], Layout::Contiguous),
        (level, 1),
    );
    (out.truth(), lse.truth()[0])
}

#[test]
fn an_empty_part_is_not_looked_at() {
    on_every_level(|name, level| {
        for x in [f64::NAN, INFINITY, 0.0] {
            assert_eq!(
                two_parts(x, -INFINITY, 1.5, level),
                (vec![2.0; 5], 1.5),
                "{name} {x}"
            );
            let nothing = two_parts(x, -INFINITY, -INFINITY, level);
            assert_eq!(nothing.1, -INFINITY, "{name} {x}");
        }
        let (out, _) = two_parts(0.0, -INFINITY, -INFINITY, level);
        assert_eq!(out, vec![0.0; 5], "{name}");
    });
}

#[test]
fn what_is_seen_and_not_finite_shows() {
    on_every_level(|name, level| {
        for lse in [f64::NAN, INFINITY] {
            let (out, merged_lse) = two_parts(1.0, lse, 1.5, level);
            assert!(
                out.iter().all(|x| x.is_nan()) && merged_lse.is_nan(),
                "{name} {lse}"
            );
        }
        let (out, lse) = two_parts(f64::NAN, -3.0, 1.5, level);
        assert!(out.iter().all(|x| x.is_nan()) && lse.is_finite(), "{name}");
        // Weight 0 by rounding is still seen.
        let (out, _) = two_parts(f64::NAN, -300.0, 1.5, level);
        assert!(out.iter().all(|x| x.is_nan()), "{name}");
    });
}

#[test]
fn the_same_bits_at_any_width_and_at_1_2_3_and_7_threads() {
    let shape = [3, 400, 37];
    let (outs, lses) = sample::<f32>(&shape, Layout::Reversed, 4, true);
    let bits = |level, threads| {
        let (out, lse) = merged(&outs, &lses, (&shape, Layout::Contiguous), (level, threads));
        [out.bits(), lse.bits()].concat()
    };
    assert_bits_do_not_depend_on_the_width(|level| bits(level, 1));
    on_every_level(|name, level| {
        let first = bits(level, 1);
        for threads in [2, 3, 7] {
            assert_eq!(first, bits(level, threads), "{name} {threads}");
        }
    });
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let context = Context {
        level: levels()[0].1,
        threads: 1,
        cancelled: &|| false,
    };
    let array = |shape: &[usize]| Sample::<f32>::random(shape, Layout::Contiguous, 1);
    let refused = |outs: &[&[usize]], lses: &[&[usize]], out: &[usize], lse: &[usize]| {
        let outs: Vec<_> = outs.iter().map(|shape| array(shape)).collect();
        let lses: Vec<_> = lses.iter().map(|shape| array(shape)).collect();
        let outs: Vec<_> = outs.iter().map(Sample::view).collect();
        let lses: Vec<_> = lses.iter().map(Sample::view).collect();
        let (mut out, mut lse) = (array(out), array(lse));
        merge(&outs, &lses, out.view_mut(), lse.view_mut(), &context).expect_err("refused")
    };
    let no_part = refused(&[], &[], &[3, 4], &[3, 1]);
    assert!(
        matches!(
            no_part,
            Error::Value {
                argument: "lses",
                ..
            }
        ),
        "{no_part}"
    );
    let one_missing = refused(&[&[3, 4], &[3, 4]], &[&[3, 1]], &[3, 4], &[3, 1]);
    assert!(
        matches!(
            one_missing,
            Error::Value {
                argument: "lses",
                ..
            }
        ),
        "{one_missing}"
    );
    let other_shape = refused(&[&[3, 5]], &[&[3, 1]], &[3, 4], &[3, 1]);
    assert!(
        matches!(
            other_shape,
            Error::Shape {
                argument: "outs",
                ..
            }
        ),
        "{other_shape}"
    );
    let other_rows = refused(&[&[3, 4]], &[&[2, 1]], &[3, 4], &[2, 1]);
    assert!(
        matches!(
            other_rows,
            Error::Shape {
                argument: "lse",
                ..
            }
        ),
        "{other_rows}"
    );
    let wide_lse = refused(&[&[3, 4]], &[&[3, 2]], &[3, 4], &[3, 2]);
    assert!(
        matches!(
            wide_lse,
            Error::Shape {
                argument: "lse",
                ..
            }
        ),
        "{wide_lse}"
    );
}
