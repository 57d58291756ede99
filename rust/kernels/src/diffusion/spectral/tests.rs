use super::spectral;
use crate::Context;
use crate::diffusion::operator;
use crate::diffusion::samples::{Case, Kind, uniform};
use crate::simd::{Level, Real};

fn context(threads: usize) -> Context<'static> {
    Context {
        level: Level::new(),
        threads,
        cancelled: &|| false,
    }
}

fn solved<T: super::Transformable>(
    case: &Case<T>,
    field: &[T],
    time: f64,
    threads: usize,
) -> Vec<T> {
    let mut out = vec![<T as Real>::from_f64(77.0); field.len()];
    spectral(&case.problem(), field, &mut out, time, &context(threads)).expect("valid");
    out
}

/// Every combination of sides, along the axes that are there; values are 0 above order 2.
fn cases(shape: [usize; 3], order: usize) -> Vec<Case<f64>> {
    let mut cases = Vec::new();
    for kinds in [
        [Kind::Periodic, Kind::Periodic],
        [Kind::Insulated, Kind::Insulated],
        [Kind::Value, Kind::Value],
        [Kind::Value, Kind::Insulated],
        [Kind::Insulated, Kind::Value],
    ] {
        for fed in [false, true] {
            let mut case = Case::<f64>::new(shape);
            case.order = order;
            for axis in 0..3 {
                for side in 0..2 {
                    if case.shape[axis] > 1 || axis == 2 {
                        case = case.side(axis, side, kinds[side], true);
                        if order > 2 {
                            case.faces[axis][side].fill(0.0);
                        }
                    }
                }
            }
            if fed {
                case.decay = Some((0.4, None));
                case.source = Some((0.0, Some(uniform(5, case.cells()))));
            }
            cases.push(case);
        }
    }
    cases
}

/// du/dt = operator by the classic Runge–Kutta method in steps too small to matter.
fn truth(case: &Case<f64>, field: &[f64], time: f64, steps: usize) -> Vec<f64> {
    let dt = time / steps as f64;
    let rate = |u: &[f64]| {
        let mut out = vec![0.0; u.len()];
        operator(&case.problem(), u, &mut out, &context(1)).expect("valid");
        out
    };
    let plus = |u: &[f64], k: &[f64], dt: f64| -> Vec<f64> {
        u.iter().zip(k).map(|(u, k)| u + dt * k).collect()
    };
    let mut u = field.to_vec();
    for _ in 0..steps {
        let a = rate(&u);
        let b = rate(&plus(&u, &a, dt / 2.0));
        let c = rate(&plus(&u, &b, dt / 2.0));
        let d = rate(&plus(&u, &c, dt));
        for i in 0..u.len() {
            u[i] += dt / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]);
        }
    }
    u
}

#[test]
fn every_kind_of_side_and_order_is_exact_in_time() {
    for order in [2, 4, 8] {
        for shape in [
            [1, 1, 1],
            [1, 1, 2],
            [1, 3, 5],
            [1, 17, 4],
            [3, 2, 19],
            [4, 5, 3],
        ] {
            for (number, case) in cases(shape, order).into_iter().enumerate() {
                let field = uniform::<f64>(6, 2 * case.cells());
                let (want, got) = (
                    truth(&case, &field, 0.2, 800),
                    solved(&case, &field, 0.2, 2),
                );
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    assert!(
                        (got - want).abs() <= 1e-8,
                        "order {order} {shape:?} case {number} at {i}: {got} not {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_time_gives_the_field_back() {
    for case in cases([3, 7, 45], 2) {
        let field = uniform::<f64>(6, case.cells());
        for (got, want) in solved(&case, &field, 0.0, 1).iter().zip(&field) {
            assert!((got - want).abs() < 1e-14);
        }
    }
}

#[test]
fn the_same_bits_for_any_threads_and_alone_or_among_others() {
    for case in cases([5, 33, 40], 2) {
        let cells = case.cells();
        let field = uniform::<f64>(6, 3 * cells);
        let all = solved(&case, &field, 0.3, 1);
        assert_eq!(all, solved(&case, &field, 0.3, 2));
        for (item, all) in field.chunks(cells).zip(all.chunks(cells)) {
            assert_eq!(all, solved(&case, item, 0.3, 7));
        }
    }
}

#[test]
fn float32_keeps_its_digits_and_its_heat() {
    for shape in [[1, 1, 1000], [1, 127, 128]] {
        let case = Case::<f32>::new(shape);
        let field = uniform::<f32>(6, case.cells());
        let total = |u: &[f32]| -> f64 { u.iter().map(|&u| f64::from(u)).sum() };
        let out = solved(&case, &field, 5.0, 2);
        assert!((total(&out) / total(&field) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn what_has_other_eigenvectors_names_what_can() {
    let new = || Case::<f64>::new([1, 3, 4]);
    let mut flowing = new();
    flowing.velocity = Some([vec![], vec![0.0; 12], vec![0.0; 12]]);
    let mut decaying = new();
    decaying.decay = Some((0.0, Some(vec![0.1; 12])));
    for case in [
        new().per_point(),
        new().walls(),
        new().held(),
        new().side(1, 1, Kind::Robin, false),
        flowing,
        decaying,
    ] {
        let (field, mut out) = (uniform::<f64>(1, 12), vec![0.0; 12]);
        let result = spectral(&case.problem(), &field, &mut out, 1.0, &context(1));
        let text = result.expect_err("refused").to_string();
        assert!(text.contains("for spectral; use explicit"), "{text}");
    }
}
