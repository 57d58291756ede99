//! Problems for the tests of the solvers, and their operators as dense matrices in float64.

use super::{Advection, Diffusivity, Face, Mean, Problem, Side, Term};
use crate::random::Stream;
use crate::simd::Real;

/// A side, its numbers in [`Case::faces`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Periodic,
    Insulated,
    Value,
    Flux,
    Robin,
}

/// A problem with its memory.
#[derive(Clone, Debug)]
pub(super) struct Case<T> {
    pub(super) shape: [usize; 3],
    pub(super) spacing: [f64; 3],
    pub(super) constant: Option<[f64; 3]>,
    pub(super) diffusivity: Vec<T>,
    pub(super) mean_is_harmonic: bool,
    pub(super) kinds: [[Kind; 2]; 3],
    pub(super) faces: [[Vec<T>; 2]; 3],
    pub(super) walls: Option<Vec<u8>>,
    pub(super) held: Option<Vec<u8>>,
    pub(super) decay: Option<(f64, Option<Vec<T>>)>,
    pub(super) source: Option<(f64, Option<Vec<T>>)>,
    pub(super) velocity: Option<[Vec<T>; 3]>,
    pub(super) limited: bool,
    pub(super) order: usize,
}

/// Numbers in [0, 1).
pub(super) fn uniform<T: Real>(stream: u64, count: usize) -> Vec<T> {
    let stream = Stream::new(11, stream);
    (0..count)
        .map(|i| T::from_f64(stream.uniform::<f64>(i as u64)))
        .collect()
}

impl<T: Real> Case<T> {
    /// Constant D, insulated, nothing else.
    pub(super) fn new(shape: [usize; 3]) -> Self {
        Self {
            shape,
            spacing: [0.5, 0.8, 1.0],
            constant: Some([0.7, 1.3, 0.9]),
            diffusivity: Vec::new(),
            mean_is_harmonic: true,
            kinds: [[Kind::Insulated; 2]; 3],
            faces: Default::default(),
            walls: None,
            held: None,
            decay: None,
            source: None,
            velocity: None,
            limited: false,
            order: 2,
        }
    }

    pub(super) fn cells(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn side(mut self, axis: usize, side: usize, kind: Kind, along: bool) -> Self {
        let mut others = self.shape;
        others[axis] = 1;
        let count = if along { others.iter().product() } else { 1 };
        self.kinds[axis][side] = kind;
        self.faces[axis][side] = uniform((10 + axis * 2 + side) as u64, count);
        self
    }

    pub(super) fn per_point(mut self) -> Self {
        self.constant = None;
        self.diffusivity = uniform(1, self.cells());
        // Zeros are allowed, side by side too.
        for (i, value) in self.diffusivity.iter_mut().enumerate() {
            if i % 11 == 3 || i % 11 == 4 {
                *value = T::ZERO;
            }
        }
        self
    }

    pub(super) fn walls(mut self) -> Self {
        let some = uniform::<f64>(2, self.cells());
        self.walls = Some(some.iter().map(|&x| u8::from(x < 0.2)).collect());
        self
    }

    pub(super) fn held(mut self) -> Self {
        let some = uniform::<f64>(3, self.cells());
        self.held = Some(some.iter().map(|&x| u8::from(x < 0.15)).collect());
        self
    }

    pub(super) fn problem(&self) -> Problem<'_, T> {
        let side = |axis: usize, side: usize| {
            let face = Face {
                values: &self.faces[axis][side][..],
                levels: 1,
            };
            match self.kinds[axis][side] {
                Kind::Periodic => Side::Periodic,
                Kind::Insulated => Side::Insulated,
                Kind::Value => Side::Value(face),
                Kind::Flux => Side::Flux(face),
                Kind::Robin => Side::Robin {
                    a: 0.7,
                    b: 0.4,
                    c: face,
                },
            }
        };
        Problem {
            shape: self.shape,
            spacing: self.spacing,
            diffusivity: match self.constant {
                Some(all) => Diffusivity::Constant(all),
                None => Diffusivity::PerPoint(&self.diffusivity),
            },
            mean: if self.mean_is_harmonic {
                Mean::Harmonic
            } else {
                Mean::Arithmetic
            },
            sides: [0, 1, 2].map(|axis| [side(axis, 0), side(axis, 1)]),
            walls: self.walls.as_deref(),
            held: self.held.as_deref(),
            decay: self.decay.as_ref().map(term),
            source: self.source.as_ref().map(term),
            velocity: self
                .velocity
                .as_ref()
                .map(|velocity| [&velocity[0][..], &velocity[1][..], &velocity[2][..]]),
            advection: if self.limited {
                Advection::Limited
            } else {
                Advection::Upwind
            },
            order: self.order,
        }
    }
}

fn term<T>((number, values): &(f64, Option<Vec<T>>)) -> Term<'_, T> {
    match values {
        Some(values) => Term::PerPoint(values),
        None => Term::Number(*number),
    }
}

/// du/dt = Σ A_k u + b, row by row.
pub(super) struct Dense {
    pub(super) axes: Vec<Vec<Vec<f64>>>,
    pub(super) given: Vec<f64>,
}

impl Dense {
    /// Of the last `axes` axes of a problem of order 2 without velocity; decay is shared among them.
    pub(super) fn new<T: Real>(case: &Case<T>, axes: usize) -> Self {
        let cells = case.cells();
        let problem = case.problem();
        let mut dense = Self {
            axes: vec![vec![vec![0.0; cells]; cells]; axes],
            given: vec![0.0; cells],
        };
        for cell in 0..cells {
            let still = |some: &Option<Vec<u8>>| some.as_ref().is_some_and(|some| some[cell] != 0);
            if still(&case.walls) || still(&case.held) {
                continue;
            }
            let number = |term: &Option<(f64, Option<Vec<T>>)>| match term {
                None => 0.0,
                Some((_, Some(values))) => values[cell].to_f64(),
                Some((number, None)) => *number,
            };
            dense.given[cell] += number(&case.source);
            for k in 0..axes {
                let axis = 3 - axes + k;
                dense.axes[k][cell][cell] -= number(&case.decay) / axes as f64;
                let n = case.shape[axis];
                let stride: usize = case.shape[axis + 1..].iter().product();
                let at = cell / stride % n;
                let h = case.spacing[axis];
                for side in 0..2 {
                    let end = if side == 0 { at == 0 } else { at + 1 == n };
                    let periodic = case.kinds[axis][side] == Kind::Periodic;
                    if end && !periodic {
                        let others = cell / (stride * n) * stride + cell % stride;
                        dense.exchange(case, cell, k, axis, side, others);
                        continue;
                    }
                    let other = if side == 0 {
                        (at + n - 1) % n
                    } else {
                        (at + 1) % n
                    };
                    let other = cell - at * stride + other * stride;
                    if problem.is_wall(other) {
                        continue;
                    }
                    let of = |cell| problem.diffusivity_at(axis, cell).to_f64();
                    let (a, b) = (of(cell), of(other));
                    let mean = match case.mean_is_harmonic {
                        true if a + b > 0.0 => 2.0 * a * b / (a + b),
                        true => 0.0,
                        false => (a + b) / 2.0,
                    };
                    dense.axes[k][cell][other] += mean / (h * h);
                    dense.axes[k][cell][cell] -= mean / (h * h);
                }
            }
        }
        dense
    }

    fn exchange<T: Real>(
        &mut self,
        case: &Case<T>,
        cell: usize,
        k: usize,
        axis: usize,
        side: usize,
        place: usize,
    ) {
        let h = case.spacing[axis];
        let diffusivity = case.problem().diffusivity_at(axis, cell).to_f64();
        let values = &case.faces[axis][side];
        let value = match values.len() {
            0 => 0.0,
            1 => values[0].to_f64(),
            _ => values[place].to_f64(),
        };
        match case.kinds[axis][side] {
            Kind::Periodic | Kind::Insulated => {}
            Kind::Value => {
                self.axes[k][cell][cell] -= 2.0 * diffusivity / (h * h);
                self.given[cell] += 2.0 * diffusivity * value / (h * h);
            }
            Kind::Flux => self.given[cell] += value / h,
            Kind::Robin => {
                let sum = 0.4 / h + 0.35;
                let alpha = (0.4 / h - 0.35) / sum;
                self.axes[k][cell][cell] += diffusivity * (alpha - 1.0) / (h * h);
                self.given[cell] += diffusivity * value / sum / (h * h);
            }
        }
    }

    /// (I + scale·A_k) u.
    pub(super) fn times(&self, k: usize, scale: f64, u: &[f64]) -> Vec<f64> {
        let row = |row: &Vec<f64>| row.iter().zip(u).map(|(a, u)| a * u).sum::<f64>();
        let all = self.axes[k].iter().zip(u);
        all.map(|(a, u)| u + scale * row(a)).collect()
    }

    /// The x of (I − scale·A_k) x = u, by Gauss.
    pub(super) fn solve(&self, k: usize, scale: f64, u: &[f64]) -> Vec<f64> {
        let n = u.len();
        let mut m: Vec<Vec<f64>> = self.axes[k]
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let entry = |(j, a): (usize, &f64)| f64::from(u8::from(i == j)) - scale * a;
                row.iter().enumerate().map(entry).collect()
            })
            .collect();
        let mut x = u.to_vec();
        for i in 0..n {
            for j in i + 1..n {
                let factor = m[j][i] / m[i][i];
                if factor != 0.0 {
                    for k in i..n {
                        m[j][k] -= factor * m[i][k];
                    }
                    x[j] -= factor * x[i];
                }
            }
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                x[i] -= m[i][j] * x[j];
            }
            x[i] /= m[i][i];
        }
        x
    }
}
