use super::adi;
use crate::diffusion::samples::{Case, Dense, Kind, uniform};
use crate::layers::samples::on_every_level;
use crate::simd::{Level, Real};
use crate::{Context, Error};

/// The scheme with dense matrices in float64.
fn truth<T: Real>(case: &Case<T>, axes: usize, field: &[T], steps: &[f64]) -> Vec<f64> {
    let dense = Dense::new(case, axes);
    let plus = |u: Vec<f64>, scale: f64| -> Vec<f64> {
        u.iter()
            .zip(&dense.given)
            .map(|(u, b)| u + scale * b)
            .collect()
    };
    let mut all = Vec::new();
    for item in field.chunks(case.cells()) {
        let still = |cell: usize| case.problem().is_wall(cell);
        let start = item.iter().enumerate();
        let mut u: Vec<f64> = start
            .map(|(i, u)| if still(i) { 0.0 } else { u.to_f64() })
            .collect();
        for &dt in steps {
            let half = dt / 2.0;
            u = match axes {
                1 => dense.solve(0, half, &plus(dense.times(0, half, &u), dt)),
                2 => {
                    let first = dense.solve(0, half, &plus(dense.times(1, half, &u), half));
                    dense.solve(1, half, &plus(dense.times(0, half, &first), half))
                }
                _ => {
                    let mut change = plus(vec![0.0; u.len()], dt);
                    for k in 0..3 {
                        for ((change, now), u) in
                            change.iter_mut().zip(dense.times(k, dt, &u)).zip(&u)
                        {
                            *change += now - u;
                        }
                    }
                    for k in 0..3 {
                        change = dense.solve(k, half, &change);
                    }
                    u.iter().zip(change).map(|(u, d)| u + d).collect()
                }
            };
        }
        all.extend(u.iter().zip(item).enumerate().map(
            |(i, (u, was))| {
                if still(i) { was.to_f64() } else { *u }
            },
        ));
    }
    all
}

fn solved<T: Real>(
    case: &Case<T>,
    axes: usize,
    field: &[T],
    steps: &[f64],
    level: Level,
    threads: usize,
) -> Vec<T> {
    let mut out = vec![T::from_f64(77.0); field.len()];
    let context = Context {
        level,
        threads,
        cancelled: &|| false,
    };
    adi(&case.problem(), axes, field, &mut out, steps, &context).expect("valid");
    out
}

/// Problems of every kind on a grid of `shape`.
fn cases<T: Real>(shape: [usize; 3], axes: usize) -> Vec<Case<T>> {
    let present = 3 - axes..3;
    let plain = || Case::<T>::new(shape);
    let all = |kind: Kind, along: bool, mut case: Case<T>| {
        for axis in present.clone() {
            for side in 0..2 {
                case = case.side(axis, side, kind, along);
            }
        }
        case
    };
    let mut cases = vec![plain(), plain().per_point()];
    for kind in [Kind::Periodic, Kind::Value, Kind::Flux, Kind::Robin] {
        cases.push(all(kind, false, plain()));
        cases.push(all(kind, kind != Kind::Periodic, plain().per_point()));
    }
    let mut mixed = all(Kind::Robin, true, plain().per_point().walls().held());
    mixed = mixed
        .side(2, 1, Kind::Insulated, false)
        .side(2, 0, Kind::Value, true);
    mixed.decay = Some((0.0, Some(uniform(4, plain().cells()))));
    mixed.source = Some((0.0, Some(uniform(5, plain().cells()))));
    mixed.mean_is_harmonic = false;
    let mut ring = all(Kind::Periodic, false, plain().walls().held());
    ring.decay = Some((0.3, None));
    ring.source = Some((0.2, None));
    let mut rates = all(Kind::Periodic, false, plain());
    rates.decay = Some((0.4, None));
    rates.source = Some((-0.3, None));
    cases.extend([mixed, ring, rates]);
    cases
}

const SHAPES: [(usize, [usize; 3]); 15] = [
    (1, [1, 1, 1]),
    (1, [1, 1, 2]),
    (1, [1, 1, 3]),
    (1, [1, 1, 40]),
    (2, [1, 1, 1]),
    (2, [1, 2, 3]),
    (2, [1, 3, 1]),
    (2, [1, 17, 5]),
    (2, [1, 9, 18]),
    (2, [1, 5, 33]),
    (3, [1, 1, 1]),
    (3, [2, 3, 1]),
    (3, [3, 2, 17]),
    (3, [5, 9, 2]),
    (3, [2, 5, 9]),
];

fn every_kind_is_its_scheme<T: Real>(bound: f64) {
    for (axes, shape) in SHAPES {
        for (number, case) in cases::<T>(shape, axes).into_iter().enumerate() {
            // Lone lines and rows of lanes of lines take different ways in one axis.
            for items in [1, 4] {
                let field = uniform::<T>(6, items * case.cells());
                let steps = [0.3, 0.3, 5.0];
                let expected = truth(&case, axes, &field, &steps);
                on_every_level(|name, level| {
                    let got = solved(&case, axes, &field, &steps, level, 2);
                    for (i, (got, want)) in got.iter().zip(&expected).enumerate() {
                        assert!(
                            (got.to_f64() - want).abs() <= bound,
                            "{name} {shape:?} case {number} × {items} at {i}: {} not {want}",
                            got.to_f64()
                        );
                    }
                });
            }
        }
    }
}

#[test]
fn every_kind_is_its_scheme_in_float64() {
    every_kind_is_its_scheme::<f64>(1e-12);
}

#[test]
fn every_kind_is_its_scheme_in_float32() {
    every_kind_is_its_scheme::<f32>(1e-4);
}

#[test]
fn the_same_bits_for_any_threads_and_alone_or_among_others() {
    for (axes, shape) in [(1, [1, 1, 50]), (2, [1, 37, 45]), (3, [7, 11, 21])] {
        for case in cases::<f32>(shape, axes) {
            let cells = case.cells();
            let field = uniform::<f32>(6, 6 * cells);
            let steps = [0.4, 2.0, 2.0];
            let all = solved(&case, axes, &field, &steps, Level::new(), 1);
            for threads in [2, 7] {
                assert_eq!(
                    all,
                    solved(&case, axes, &field, &steps, Level::new(), threads)
                );
            }
            for (item, all) in field.chunks(cells).zip(all.chunks(cells)) {
                assert_eq!(all, solved(&case, axes, item, &steps, Level::new(), 2));
            }
        }
    }
}

#[test]
fn a_field_in_balance_stays_bit_for_bit() {
    for (axes, shape) in [(1, [1, 1, 50]), (2, [1, 37, 45]), (3, [7, 11, 21])] {
        for case in [
            Case::<f32>::new(shape),
            Case::new(shape).per_point().walls(),
        ] {
            let field = vec![0.3; case.cells()];
            let out = solved(&case, axes, &field, &[1e5, 1e5, 3.0], Level::new(), 2);
            assert_eq!(out, field);
        }
    }
}

#[test]
fn what_walls_hold_reaches_nobody_and_stays() {
    for (axes, shape) in [(1, [1, 1, 50]), (2, [1, 17, 23]), (3, [5, 6, 21])] {
        let case = Case::<f64>::new(shape).per_point().walls();
        let walls = case.walls.clone().expect("set");
        let clean = uniform::<f64>(6, case.cells());
        let mut field = clean.clone();
        for (value, wall) in field.iter_mut().zip(&walls) {
            if *wall != 0 {
                *value = f64::NAN;
            }
        }
        let steps = [0.7, 0.7];
        let truth = solved(&case, axes, &clean, &steps, Level::new(), 2);
        let out = solved(&case, axes, &field, &steps, Level::new(), 2);
        for ((out, truth), wall) in out.iter().zip(&truth).zip(&walls) {
            assert!(if *wall != 0 {
                out.is_nan()
            } else {
                out == truth
            });
        }
    }
}

#[test]
fn an_insulated_box_keeps_its_heat_over_a_thousand_large_steps() {
    // Three axes that do not commute bear no step of 20: see `adi`.
    for (axes, shape, dt) in [(2, [1, 37, 45], 20.0), (3, [7, 11, 21], 1.0)] {
        let case = Case::<f32>::new(shape).per_point().walls();
        let walls = case.walls.clone().expect("set");
        let field = uniform::<f32>(6, case.cells());
        let total = |u: &[f32]| -> f64 {
            let open = u.iter().zip(&walls).filter(|(_, wall)| **wall == 0);
            open.map(|(u, _)| f64::from(*u)).sum()
        };
        let out = solved(&case, axes, &field, &[dt; 1000], Level::new(), 2);
        let (was, is) = (total(&field), total(&out));
        assert!((is / was - 1.0).abs() < 1e-5, "{was} became {is}");
    }
}

#[test]
fn what_adi_cannot_do_names_what_can() {
    let context = Context {
        level: Level::new(),
        threads: 1,
        cancelled: &|| false,
    };
    let (field, mut out) = (uniform::<f64>(1, 12), vec![0.0; 12]);
    let mut fails = |case: &Case<f64>, axes| {
        let error = adi(&case.problem(), axes, &field, &mut out, &[1.0], &context);
        error.expect_err("not allowed").to_string()
    };
    let mut case = Case::<f64>::new([1, 3, 4]);
    assert!(fails(&case, 1).starts_with("axes is 1"));
    case.order = 4;
    assert!(fails(&case, 2).contains("explicit or rkl2"));
    case.order = 2;
    case.velocity = Some([vec![], vec![0.0; 12], vec![0.0; 12]]);
    assert!(fails(&case, 2).contains("use explicit"));
}

#[test]
fn a_cancelled_call_says_so() {
    let case = Case::<f32>::new([1, 40, 40]);
    let (field, mut out) = (uniform::<f32>(1, 1600), vec![0.0; 1600]);
    let context = Context {
        level: Level::new(),
        threads: 2,
        cancelled: &|| true,
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    // The calling thread asks only every 20 ms.
    while std::time::Instant::now() < end {
        let result = adi(&case.problem(), 2, &field, &mut out, &[0.1; 1000], &context);
        if result == Err(Error::Interrupted) {
            return;
        }
    }
    panic!("never interrupted");
}
