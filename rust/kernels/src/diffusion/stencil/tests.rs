use super::explicit;
use crate::Context;
use crate::diffusion::operator;
use crate::diffusion::samples::{Case, Kind, uniform};
use crate::layers::samples::on_every_level;
use crate::simd::{Level, Real};

/// −½ of the weight of the cell itself is the sum of these.
fn weights(order: usize) -> Vec<f64> {
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    let m = order / 2;
    (1..=m)
        .map(|k| {
            let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
            let below = factorial(m - k) * factorial(m + k) * (k * k) as f64;
            sign * factorial(m).powi(2) / below
        })
        .collect()
}

/// Every combination of sides that higher orders allow, along the axes that are there.
fn cases<T: Real>(shape: [usize; 3], order: usize) -> Vec<Case<T>> {
    let mut cases = Vec::new();
    for kinds in [
        [Kind::Periodic, Kind::Periodic],
        [Kind::Insulated, Kind::Insulated],
        [Kind::Value, Kind::Value],
        [Kind::Value, Kind::Insulated],
        [Kind::Insulated, Kind::Value],
    ] {
        let mut case = Case::new(shape);
        case.order = order;
        for axis in 0..3 {
            for side in 0..2 {
                case = case.side(axis, side, kinds[side], false);
                case.faces[axis][side].fill(T::ZERO);
            }
        }
        case.decay = Some((0.0, Some(uniform(4, case.cells()))));
        case.source = Some((0.0, Some(uniform(5, case.cells()))));
        cases.push(case);
    }
    cases
}

/// The scheme in float64, cell by cell.
fn truth<T: Real>(case: &Case<T>, u: &[T]) -> Vec<f64> {
    let strides = [case.shape[1] * case.shape[2], case.shape[2], 1];
    let number = |term: &Option<(f64, Option<Vec<T>>)>, cell: usize| {
        let values = term.as_ref().and_then(|(_, values)| values.as_ref());
        values.expect("set")[cell].to_f64()
    };
    let diffusivity = case.constant.expect("set");
    (0..case.cells())
        .map(|cell| {
            let here = u[cell].to_f64();
            let mut rate = number(&case.source, cell) - number(&case.decay, cell) * here;
            for axis in 0..3 {
                let (n, stride) = (case.shape[axis] as isize, strides[axis]);
                let at = (cell / stride % case.shape[axis]) as isize;
                let read = |mut place: isize| {
                    let mut sign = 1.0;
                    while !(0..n).contains(&place) {
                        let side = usize::from(place >= n);
                        if case.kinds[axis][side] == Kind::Periodic {
                            place = place.rem_euclid(n);
                        } else {
                            if case.kinds[axis][side] == Kind::Value {
                                sign = -sign;
                            }
                            place = if side == 0 {
                                -1 - place
                            } else {
                                2 * n - 1 - place
                            };
                        }
                    }
                    sign * u[(cell as isize + (place - at) * stride as isize) as usize].to_f64()
                };
                let h = case.spacing[axis];
                for (k, w) in (1..).zip(weights(case.order)) {
                    let sum = read(at + k) - 2.0 * here + read(at - k);
                    rate += diffusivity[axis] * w * sum / (h * h);
                }
            }
            rate
        })
        .collect()
}

fn is_its_scheme<T: Real>(bound: f64) {
    for order in [4, 6, 8] {
        for shape in [[1, 1, 1], [1, 1, 2], [1, 3, 40], [3, 2, 19], [5, 9, 16]] {
            for (number, case) in cases::<T>(shape, order).into_iter().enumerate() {
                let field = uniform::<T>(6, 2 * case.cells());
                let want: Vec<f64> = field
                    .chunks(case.cells())
                    .flat_map(|u| truth(&case, u))
                    .collect();
                on_every_level(|name, level| {
                    let context = Context {
                        level,
                        threads: 2,
                        cancelled: &|| false,
                    };
                    let mut out = vec![T::from_f64(77.0); field.len()];
                    operator(&case.problem(), &field, &mut out, &context).expect("valid");
                    let mut stepped = out.clone();
                    explicit(
                        &case.problem(),
                        &field,
                        &mut stepped,
                        None,
                        1e-3,
                        1,
                        &context,
                    )
                    .expect("valid");
                    for (i, want) in want.iter().enumerate() {
                        let (got, step) = (out[i].to_f64(), stepped[i].to_f64());
                        let next = field[i].to_f64() + 1e-3 * want;
                        assert!(
                            (got - want).abs() <= bound && (step - next).abs() <= bound,
                            "{name} order {order} {shape:?} case {number} at {i}: \
                             {got} not {want}, {step} not {next}"
                        );
                    }
                });
            }
        }
    }
}

#[test]
fn every_order_is_its_scheme() {
    is_its_scheme::<f64>(1e-12);
    is_its_scheme::<f32>(2e-4);
}

fn run(case: &Case<f32>, field: &[f32], steps: usize, threads: usize) -> Vec<f32> {
    let context = Context {
        level: Level::new(),
        threads,
        cancelled: &|| false,
    };
    let mut out = vec![77.0; field.len()];
    explicit(
        &case.problem(),
        field,
        &mut out,
        None,
        0.01,
        steps,
        &context,
    )
    .expect("valid");
    out
}

#[test]
fn the_same_bits_for_any_threads_alone_and_in_two_runs() {
    for order in [4, 8] {
        for case in cases::<f32>([70, 11, 21], order) {
            let field = uniform::<f32>(6, 2 * case.cells());
            let all = run(&case, &field, 5, 1);
            assert_eq!(all, run(&case, &field, 5, 2));
            assert_eq!(all, run(&case, &run(&case, &field, 2, 7), 3, 2));
            let cells = case.cells();
            assert_eq!(all[cells..], run(&case, &field[cells..], 5, 2));
        }
    }
}

#[test]
fn an_insulated_box_keeps_its_heat_and_a_flat_field_its_bits() {
    for order in [4, 6, 8] {
        let mut case = Case::<f32>::new([1, 40, 50]);
        case.order = order;
        let flat = vec![0.3; case.cells()];
        assert_eq!(run(&case, &flat, 100, 2), flat);
        let field = uniform::<f32>(6, case.cells());
        let total = |u: &[f32]| -> f64 { u.iter().map(|&u| f64::from(u)).sum() };
        let out = run(&case, &field, 10_000, 1);
        let (was, is) = (total(&field), total(&out));
        assert!(
            (is / was - 1.0).abs() < 1e-5,
            "order {order}: {was} became {is}"
        );
    }
}

#[test]
fn what_higher_orders_are_not_defined_for_is_refused() {
    let context = Context {
        level: Level::new(),
        threads: 1,
        cancelled: &|| false,
    };
    let walls = Case::<f64>::new([1, 3, 4]).walls();
    let flux = Case::<f64>::new([1, 3, 4]).side(2, 0, Kind::Flux, false);
    let value = Case::<f64>::new([1, 3, 4]).side(2, 0, Kind::Value, false);
    for mut case in [walls, flux, value, Case::new([1, 3, 4]).per_point()] {
        case.order = 4;
        let (field, mut out) = (uniform::<f64>(1, 12), vec![0.0; 12]);
        let error = operator(&case.problem(), &field, &mut out, &context).expect_err("refused");
        assert!(error.to_string().starts_with("order is 4"), "{error}");
    }
}
