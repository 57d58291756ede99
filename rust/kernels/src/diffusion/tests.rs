//! Sweeps against the formula, and against each other bit for bit.

use super::problem::{Advection, Diffusivity, Face, Mean, Problem, Side, Term};
use super::{Blocking, explicit, naive, rkl2};
use crate::random::Stream;
use crate::simd::levels;
use crate::{Context, Error};

/// Arrays that a random problem borrows.
struct Arrays {
    shape: [usize; 3],
    field: Vec<f64>,
    diffusivity: Vec<f64>,
    walls: Vec<u8>,
    held: Vec<u8>,
    decay: Vec<f64>,
    source: Vec<f64>,
    faces: Vec<f64>,
}

fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut numbers = vec![0.0; count];
    Stream::new(seed, 0).fill_uniform(0, &mut numbers);
    numbers
}

impl Arrays {
    fn new(seed: u64, shape: [usize; 3], batch: usize) -> Self {
        let cells = shape.iter().product::<usize>();
        let rare = |seed| {
            numbers(seed, cells)
                .iter()
                .map(|&x| u8::from(x < 0.1))
                .collect::<Vec<_>>()
        };
        let mut walls = rare(seed + 1);
        walls[cells / 2] = 0;
        let field = numbers(seed, batch * cells);
        Self {
            shape,
            field,
            diffusivity: numbers(seed + 2, cells)
                .iter()
                .map(|x| (x - 0.1).max(0.0))
                .collect(),
            walls,
            held: rare(seed + 3),
            decay: numbers(seed + 4, cells),
            source: numbers(seed + 5, cells),
            faces: numbers(seed + 6, cells * 16),
        }
    }

    /// The field, with NaN in the problem's walls.
    fn field_of(&self, problem: &Problem<f64>) -> Vec<f64> {
        let cells: usize = self.shape.iter().product();
        let hidden = |cell: usize| problem.is_wall(cell % cells);
        let value = |(cell, &value)| if hidden(cell) { f64::NAN } else { value };
        self.field.iter().enumerate().map(value).collect()
    }

    /// Problem number `kind`: a mix of all options.
    fn problem(&self, kind: usize, steps: usize) -> Problem<'_, f64> {
        let bit = |bit: usize| kind >> bit & 1 == 1;
        let mut sides = [[Side::Insulated; 2]; 3];
        for axis in 0..3 {
            let mut others = self.shape;
            others[axis] = 1;
            let cells: usize = others.iter().product();
            let whole = Face {
                values: &self.faces[..cells],
                levels: 1,
            };
            let timed = Face {
                values: &self.faces[..steps * cells],
                levels: steps,
            };
            let number = Face {
                values: &self.faces[..1],
                levels: 1,
            };
            let kinds = [
                [Side::Insulated, Side::Insulated],
                [Side::Periodic, Side::Periodic],
                [Side::Value(whole), Side::Flux(number)],
                [
                    Side::Robin {
                        a: 1.0,
                        b: 0.5,
                        c: timed,
                    },
                    Side::Value(timed),
                ],
                [
                    Side::Flux(timed),
                    Side::Robin {
                        a: 0.0,
                        b: 1.0,
                        c: whole,
                    },
                ],
            ];
            sides[axis] = kinds[(kind / 16 + 2 * axis + kind) % 5];
        }
        Problem {
            shape: self.shape,
            spacing: [0.9, 1.1, 1.0],
            diffusivity: if bit(0) {
                Diffusivity::PerPoint(&self.diffusivity)
            } else {
                Diffusivity::Constant([0.7, 1.3, 1.0])
            },
            mean: if bit(4) {
                Mean::Harmonic
            } else {
                Mean::Arithmetic
            },
            sides,
            walls: bit(1).then_some(&self.walls[..]),
            held: bit(2).then_some(&self.held[..]),
            decay: bit(3).then_some(if bit(0) {
                Term::PerPoint(&self.decay)
            } else {
                Term::Number(0.3)
            }),
            source: bit(3).then_some(if bit(1) {
                Term::Number(0.2)
            } else {
                Term::PerPoint(&self.source)
            }),
            velocity: None,
            advection: Advection::Upwind,
            order: 2,
        }
    }
}

fn context(level: crate::simd::Level, threads: usize) -> Context<'static> {
    Context {
        level,
        threads,
        cancelled: &|| false,
    }
}

const SHAPES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [1, 1, 2],
    [1, 1, 37],
    [1, 2, 1],
    [1, 5, 3],
    [1, 33, 29],
    [1, 7, 130],
    [1, 130, 7],
    [2, 1, 3],
    [3, 4, 5],
    [13, 11, 17],
    [9, 40, 19],
];

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_step_is_the_formula() {
    let (steps, dt) = (3, 0.05);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for kind in 0..80 {
            let arrays = Arrays::new(10 * number as u64, shape, 1);
            let problem = arrays.problem(kind, steps);
            let field = arrays.field_of(&problem);
            let mut out = vec![0.0; arrays.field.len()];
            let (_, level) = levels()[0];
            explicit(
                &problem,
                &field,
                &mut out,
                None,
                dt,
                steps,
                Blocking::Plain,
                &context(level, 1),
            )
            .expect("well formed");
            let mut expected = field.clone();
            for step in 0..steps {
                let rate = naive::rate(&problem, &expected, step);
                for (value, rate) in expected.iter_mut().zip(rate) {
                    *value += dt * rate;
                }
            }
            for (cell, (&given, &expected)) in out.iter().zip(&expected).enumerate() {
                let same = if problem.is_wall(cell) {
                    given.to_bits() == expected.to_bits()
                } else {
                    // About ten roundings a term, of at most 12 terms below 4, in each step.
                    (given - expected).abs() <= 120.0 * steps as f64 * f64::EPSILON
                };
                assert!(
                    same,
                    "{shape:?} kind {kind} cell {cell}: {given} {expected}"
                );
            }
        }
    }
}

#[test]
fn blocked_and_plain_sweeps_give_the_same_bits() {
    let (steps, dt, batch) = (7, 0.05, 2);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for kind in 0..80 {
            let arrays = Arrays::new(10 * number as u64, shape, batch);
            let problem = arrays.problem(kind, steps);
            let field = arrays.field_of(&problem);
            for (name, level) in levels() {
                let run = |blocking, threads| {
                    let mut out = vec![0.0; arrays.field.len()];
                    // What it holds is nobody's.
                    let mut aside = vec![f64::NAN; out.len()];
                    let context = context(level, threads);
                    explicit(
                        &problem,
                        &field,
                        &mut out,
                        Some(&mut aside),
                        dt,
                        steps,
                        blocking,
                        &context,
                    )
                    .expect("well formed");
                    bits(&out)
                };
                let plain = run(Blocking::Plain, 1);
                for levels in [1, 2, 5] {
                    for threads in [1, 3] {
                        assert_eq!(
                            plain,
                            run(Blocking::Levels(levels), threads),
                            "{shape:?} kind {kind} {name} {levels} levels {threads} threads"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn stages_are_their_recursion() {
    let (steps, stages, dt) = (2, 5, 0.3);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for kind in 0..80 {
            let arrays = Arrays::new(10 * number as u64, shape, 1);
            let problem = arrays.problem(kind, 1);
            let field = arrays.field_of(&problem);
            let mut out = vec![0.0; field.len()];
            let context = context(levels()[0].1, 1);
            rkl2(
                &problem,
                &field,
                &mut out,
                None,
                dt,
                steps,
                stages,
                Blocking::Plain,
                &context,
            )
            .expect("well formed");
            let mut expected = field.clone();
            for _ in 0..steps {
                expected = recursion(&problem, &expected, dt, stages);
            }
            for (cell, (&given, &expected)) in out.iter().zip(&expected).enumerate() {
                let same = if problem.is_wall(cell) {
                    given.to_bits() == expected.to_bits()
                } else {
                    // As for Euler; a stage's factors are below 2 and errors add over stages.
                    (given - expected).abs() <= 500.0 * (steps * stages) as f64 * f64::EPSILON
                };
                assert!(
                    same,
                    "{shape:?} kind {kind} cell {cell}: {given} {expected}"
                );
            }
        }
    }
}

/// One step of RKL2 as its source writes it.
fn recursion(problem: &Problem<f64>, field: &[f64], dt: f64, stages: usize) -> Vec<f64> {
    let b = |j: f64| {
        if j < 2.0 {
            1.0 / 3.0
        } else {
            (j * j + j - 2.0) / (2.0 * j * (j + 1.0))
        }
    };
    let w = 4.0 / ((stages * stages + stages) as f64 - 2.0);
    let first = naive::rate(problem, field, 0);
    let euler = |(u, rate): (&f64, &f64)| {
        if *rate == 0.0 {
            *u
        } else {
            u + w / 3.0 * dt * rate
        }
    };
    let mut older = field.to_vec();
    let mut newer: Vec<f64> = field.iter().zip(&first).map(euler).collect();
    for stage in 2..=stages {
        let j = stage as f64;
        let mu = (2.0 * j - 1.0) / j * b(j) / b(j - 1.0);
        let nu = -(j - 1.0) / j * b(j) / b(j - 2.0);
        let gamma = -(1.0 - b(j - 1.0)) * mu * w;
        let rate = naive::rate(problem, &newer, 0);
        let next = (0..field.len())
            .map(|cell| {
                if problem.is_wall(cell) {
                    return field[cell];
                }
                mu * newer[cell]
                    + nu * older[cell]
                    + (1.0 - mu - nu) * field[cell]
                    + dt * (mu * w * rate[cell] + gamma * first[cell])
            })
            .collect();
        older = std::mem::replace(&mut newer, next);
    }
    newer
}

#[test]
fn blocked_and_plain_stages_give_the_same_bits() {
    let (steps, dt, batch) = (2, 0.3, 2);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for kind in 0..80 {
            let arrays = Arrays::new(10 * number as u64, shape, batch);
            let problem = arrays.problem(kind, 1);
            let field = arrays.field_of(&problem);
            for stages in [2, 3, 8] {
                let run = |blocking, threads| {
                    let mut out = vec![0.0; field.len()];
                    let context = context(levels()[0].1, threads);
                    rkl2(
                        &problem, &field, &mut out, None, dt, steps, stages, blocking, &context,
                    )
                    .expect("well formed");
                    bits(&out)
                };
                let plain = run(Blocking::Plain, 1);
                for threads in [1, 3] {
                    let blocked = run(Blocking::Levels(stages), threads);
                    assert_eq!(plain, blocked, "{shape:?} kind {kind} {stages} stages");
                }
            }
        }
    }
}

#[test]
fn arrays_of_wrong_size_are_refused_by_name() {
    let arrays = Arrays::new(1, [1, 4, 5], 1);
    let mut problem = arrays.problem(1, 1);
    problem.diffusivity = Diffusivity::PerPoint(&arrays.diffusivity[1..]);
    let mut out = vec![0.0; 20];
    let (_, level) = levels()[0];
    let outcome = explicit(
        &problem,
        &arrays.field,
        &mut out,
        None,
        0.1,
        1,
        Blocking::Auto,
        &context(level, 1),
    );
    assert!(matches!(
        outcome,
        Err(Error::Shape {
            argument: "diffusivity",
            ..
        })
    ));
    problem.diffusivity = Diffusivity::Constant([0.1; 3]);
    problem.sides = [[Side::Insulated; 2]; 3];
    let context = context(level, 1);
    // Whether steps have anything between them or not.
    for steps in [1, 2] {
        for order in [2, 4] {
            problem.order = order;
            let outcome = explicit(
                &problem,
                &arrays.field,
                &mut out,
                Some(&mut [0.0; 19]),
                0.1,
                steps,
                Blocking::Plain,
                &context,
            );
            assert!(
                names_aside(outcome),
                "explicit, {steps} steps of order {order}"
            );
        }
        problem.order = 2;
        for blocking in [Blocking::Plain, Blocking::Levels(1)] {
            let outcome = rkl2(
                &problem,
                &arrays.field,
                &mut out,
                Some(&mut [0.0; 19]),
                0.1,
                steps,
                3,
                blocking,
                &context,
            );
            assert!(names_aside(outcome), "rkl2, {steps} steps, {blocking:?}");
        }
    }
}

fn names_aside(outcome: Result<(), Error>) -> bool {
    matches!(
        outcome,
        Err(Error::Shape {
            argument: "aside",
            ..
        })
    )
}
