use super::operator;
use crate::Context;
use crate::diffusion::samples::{Case, Dense, Kind, uniform};
use crate::layers::samples::on_every_level;
use crate::simd::{Level, Real};

fn applied<T: Real>(case: &Case<T>, field: &[T], level: Level, threads: usize) -> Vec<T> {
    let mut out = vec![T::from_f64(77.0); field.len()];
    let context = Context {
        level,
        threads,
        cancelled: &|| false,
    };
    operator(&case.problem(), field, &mut out, &context).expect("valid");
    out
}

/// Every kind of side on every side, constant and per-point D, with walls and held cells.
fn cases<T: Real>(shape: [usize; 3]) -> Vec<Case<T>> {
    let mut cases = Vec::new();
    for kind in [
        Kind::Periodic,
        Kind::Insulated,
        Kind::Value,
        Kind::Flux,
        Kind::Robin,
    ] {
        let all = |mut case: Case<T>| {
            for axis in 0..3 {
                for side in 0..2 {
                    case = case.side(axis, side, kind, axis % 2 == 0);
                }
            }
            case.decay = Some((0.3, None));
            case.source = Some((0.0, Some(uniform(5, case.cells()))));
            case
        };
        cases.push(all(Case::new(shape)));
        cases.push(all(Case::new(shape).per_point()));
        let mut case = all(Case::new(shape).per_point().walls().held());
        case.mean_is_harmonic = false;
        cases.push(case);
    }
    cases
}

fn is_its_matrix<T: Real>(bound: f64) {
    for shape in [[1, 1, 1], [1, 2, 3], [2, 3, 37], [3, 1, 20], [1, 9, 16]] {
        for (number, case) in cases::<T>(shape).into_iter().enumerate() {
            let dense = Dense::new(&case, 3);
            let field = uniform::<T>(6, 2 * case.cells());
            on_every_level(|name, level| {
                let got = applied(&case, &field, level, 2);
                for (u, got) in field.chunks(case.cells()).zip(got.chunks(case.cells())) {
                    let u: Vec<f64> = u.iter().map(|u| u.to_f64()).collect();
                    let mut want = dense.given.clone();
                    for k in 0..3 {
                        for (i, now) in dense.times(k, 1.0, &u).into_iter().enumerate() {
                            want[i] += now - u[i];
                        }
                    }
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        assert!(
                            (got.to_f64() - want).abs() <= bound,
                            "{name} {shape:?} case {number} at {i}: {} not {want}",
                            got.to_f64()
                        );
                    }
                }
            });
        }
    }
}

#[test]
fn order_2_is_its_matrix() {
    is_its_matrix::<f64>(1e-13);
    is_its_matrix::<f32>(5e-5);
}

#[test]
fn the_same_bits_for_any_threads_and_alone_or_among_others() {
    for case in cases::<f32>([5, 40, 300]) {
        let cells = case.cells();
        let field = uniform::<f32>(6, 3 * cells);
        let all = applied(&case, &field, Level::new(), 1);
        assert_eq!(all, applied(&case, &field, Level::new(), 7));
        assert_eq!(
            all[cells..2 * cells],
            applied(&case, &field[cells..2 * cells], Level::new(), 2)
        );
    }
}

#[test]
fn what_walls_hold_reaches_nobody() {
    let case = Case::<f64>::new([1, 9, 12]).per_point().walls();
    let walls = case.walls.clone().expect("set");
    let clean = uniform::<f64>(6, case.cells());
    let dirty: Vec<f64> = clean
        .iter()
        .zip(&walls)
        .map(|(&u, &wall)| if wall != 0 { f64::NAN } else { u })
        .collect();
    let truth = applied(&case, &clean, Level::new(), 1);
    assert_eq!(truth, applied(&case, &dirty, Level::new(), 1));
}
