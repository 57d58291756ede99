use super::{add, no_negative_weight};
use crate::diffusion::samples::{Case, Kind, uniform};

const KINDS: [Kind; 5] = [
    Kind::Periodic,
    Kind::Insulated,
    Kind::Value,
    Kind::Flux,
    Kind::Robin,
];

fn case(shape: [usize; 3], kind: Kind, limited: bool) -> Case<f64> {
    let mut case = Case::<f64>::new(shape);
    for axis in 0..3 {
        for side in 0..2 {
            case = case.side(axis, side, kind, true);
        }
    }
    let mut velocity = [0, 1, 2].map(|axis| uniform::<f64>(20 + axis, case.cells()));
    for v in velocity.iter_mut().flatten() {
        *v = 2.0 * *v - 1.0;
    }
    case.velocity = Some(velocity);
    case.limited = limited;
    case
}

/// −∇·(velocity·u) face by face: each face's flux leaves one cell and enters the other.
fn truth(case: &Case<f64>, u: &[f64]) -> Vec<f64> {
    let mut rate = vec![0.0; u.len()];
    let wall = |cell: usize| case.walls.as_ref().is_some_and(|walls| walls[cell] != 0);
    let velocity = case.velocity.as_ref().expect("set");
    let strides = [case.shape[1] * case.shape[2], case.shape[2], 1];
    for axis in 0..3 {
        let (n, stride, h) = (case.shape[axis], strides[axis], case.spacing[axis]);
        let v = &velocity[axis];
        let ring = case.kinds[axis][0] == Kind::Periodic;
        for start in (0..u.len()).filter(|cell| cell / stride % n == 0) {
            let cell = |i: usize| start + i * stride;
            let number = start / (stride * n) * stride + start % stride;
            let step = |i: isize| -> Option<usize> {
                let inside = (0..n as isize).contains(&i);
                (inside || ring).then(|| cell(i.rem_euclid(n as isize) as usize))
            };
            // Face i stands before cell i.
            for i in 0..=n {
                if ring && (i == n || n == 1) {
                    continue;
                }
                let place = i as isize;
                let (below, above) = (step(place - 1), step(place));
                let flux = match (below, above) {
                    (Some(a), Some(b)) if wall(a) || wall(b) => 0.0,
                    (Some(a), Some(b)) => {
                        let speed = (v[a] + v[b]) / 2.0;
                        let (from, to, behind) = if speed > 0.0 {
                            (a, b, step(place - 2))
                        } else {
                            (b, a, step(place + 1))
                        };
                        let mut carried = u[from];
                        if let Some(behind) = behind.filter(|&cell| case.limited && !wall(cell)) {
                            let r = (u[from] - u[behind]) / (u[to] - u[from]);
                            let phi = (r + r.abs()) / (1.0 + r.abs());
                            carried += 0.5 * phi * (u[to] - u[from]);
                        }
                        speed * carried
                    }
                    (None, None) => 0.0,
                    (outside, inside) => {
                        let side = usize::from(outside.is_some());
                        let one = outside.or(inside).expect("one is there");
                        let inflow = if side == 0 {
                            v[one] > 0.0
                        } else {
                            v[one] < 0.0
                        };
                        let face = &case.faces[axis][side];
                        let value = if face.len() > 1 {
                            face[number]
                        } else {
                            face[0]
                        };
                        let carried = match case.kinds[axis][side] {
                            _ if wall(one) => 0.0,
                            Kind::Value if inflow => value,
                            Kind::Robin if inflow => {
                                // a·(u + ghost)/2 + b·(ghost − u)/h = c.
                                let ghost = (value + u[one] * (0.4 / h - 0.35)) / (0.4 / h + 0.35);
                                (u[one] + ghost) / 2.0
                            }
                            Kind::Value | Kind::Robin => u[one],
                            _ => 0.0,
                        };
                        v[one] * carried
                    }
                };
                if let Some(cell) = below {
                    rate[cell] -= flux / h;
                }
                if let Some(cell) = above {
                    rate[cell] += flux / h;
                }
            }
        }
    }
    if let Some(held) = &case.held {
        for (rate, &held) in rate.iter_mut().zip(held) {
            if held != 0 {
                *rate = 0.0;
            }
        }
    }
    rate
}

#[test]
fn every_kind_is_its_fluxes() {
    for shape in [[1, 1, 1], [1, 1, 2], [1, 3, 7], [3, 2, 5], [4, 5, 1]] {
        for kind in KINDS {
            for limited in [false, true] {
                let plain = case(shape, kind, limited);
                for case in [plain.clone(), plain.walls().held()] {
                    let u = uniform::<f64>(6, case.cells());
                    let want = truth(&case, &u);
                    let mut got = vec![0.0; u.len()];
                    let rows = shape[0] * shape[1];
                    // In two slabs, as different threads would.
                    let (low, high) = got.split_at_mut(rows / 2 * shape[2]);
                    add(&case.problem(), &u, low, 0..rows / 2, 0, 1.0);
                    add(&case.problem(), &u, high, rows / 2..rows, 0, 1.0);
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        assert!(
                            (got - want).abs() < 1e-12,
                            "{shape:?} {kind:?} limited {limited} at {i}: {got} not {want}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn walls_holding_nan_reach_nobody() {
    let case = case([1, 6, 7], Kind::Value, true).walls();
    let mut u = uniform::<f64>(6, case.cells());
    let walls = case.walls.as_ref().expect("set");
    for (u, &wall) in u.iter_mut().zip(walls) {
        if wall != 0 {
            *u = f64::NAN;
        }
    }
    let mut out = vec![0.0; u.len()];
    add(&case.problem(), &u, &mut out, 0..6, 0, 1.0);
    assert!(out.iter().all(|out| out.is_finite()));
}

#[test]
fn no_weight_is_negative_up_to_the_step_and_one_is_beyond() {
    for kind in KINDS {
        let case = case([1, 4, 5], kind, false).walls();
        let problem = case.problem();
        let dt = no_negative_weight(&problem).expect("valid");
        let weights = |dt: f64| -> f64 {
            // The smallest weight of a cell in its own next value.
            let next = |u: &[f64], cell: usize| {
                let mut out = vec![0.0; u.len()];
                let context = crate::Context {
                    level: crate::simd::Level::new(),
                    threads: 1,
                    cancelled: &|| false,
                };
                crate::diffusion::operator(&problem, u, &mut out, &context).expect("valid");
                u[cell] + dt * out[cell]
            };
            (0..case.cells())
                .map(|cell| {
                    let zero = vec![0.0; case.cells()];
                    let mut one = zero.clone();
                    one[cell] = 1.0;
                    next(&one, cell) - next(&zero, cell)
                })
                .fold(f64::INFINITY, f64::min)
        };
        assert!(weights(dt) > -1e-12, "{kind:?}");
        assert!(weights(dt * 1.01) < 0.0, "{kind:?}");
    }
}

#[test]
fn nothing_that_moves_bears_any_step() {
    let mut case = Case::<f32>::new([1, 1, 1]);
    case.constant = Some([0.0; 3]);
    assert_eq!(no_negative_weight(&case.problem()), Ok(f64::INFINITY));
}

#[test]
fn an_explicit_step_carries_as_well() {
    for (limited, threads) in [(false, 1), (true, 2)] {
        let case = case([3, 4, 5], Kind::Robin, limited).walls().held();
        let u = uniform::<f64>(6, 2 * case.cells());
        let context = crate::Context {
            level: crate::simd::Level::new(),
            threads,
            cancelled: &|| false,
        };
        let (mut rate, mut out) = (vec![0.0; u.len()], vec![0.0; u.len()]);
        crate::diffusion::operator(&case.problem(), &u, &mut rate, &context).expect("valid");
        let auto = crate::diffusion::Blocking::Auto;
        crate::diffusion::explicit(&case.problem(), &u, &mut out, None, 0.01, 1, auto, &context)
            .expect("valid");
        for i in 0..u.len() {
            assert!((out[i] - (u[i] + 0.01 * rate[i])).abs() < 1e-14);
        }
    }
}
