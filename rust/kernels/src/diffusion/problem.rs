//! What is solved, and the check that its arrays have the grid's sizes.

use crate::Error;
use crate::simd::Real;

/// A diffusion problem on a grid of up to three axes. Axis k of a grid of d axes is axis 3 − d + k
/// here; an absent axis has length 1 and insulated sides. Arrays over the grid are in C order.
pub struct Problem<'a, T> {
    /// Cells along each axis.
    pub shape: [usize; 3],
    /// Width of a cell along each axis.
    pub spacing: [f64; 3],
    /// D.
    pub diffusivity: Diffusivity<'a, T>,
    /// D on the face between two cells.
    pub mean: Mean,
    /// What happens at the low and the high end of each axis.
    pub sides: [[Side<'a, T>; 2]; 3],
    /// Not 0: no flux through; what the cell holds reaches nobody and stays.
    pub walls: Option<&'a [u8]>,
    /// Not 0: keeps its value.
    pub held: Option<&'a [u8]>,
    /// Rate of decay, ≥ 0.
    pub decay: Option<Term<'a, T>>,
    /// What each cell gains per unit time.
    pub source: Option<Term<'a, T>>,
    /// Velocity along each axis at the cells' centres; empty for an absent axis.
    pub velocity: Option<[&'a [T]; 3]>,
    /// How velocity carries.
    pub advection: Advection,
    /// Order of the second differences: 2, 4, 6 or 8.
    pub order: usize,
}

/// D.
#[derive(Clone, Copy)]
pub enum Diffusivity<'a, T> {
    /// One number for each axis.
    Constant([f64; 3]),
    /// One number for each cell.
    PerPoint(&'a [T]),
}

/// The value of D on the face between two cells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// 2ab/(a + b), and 0 between two zeros.
    Harmonic,
    /// (a + b)/2.
    Arithmetic,
}

/// How velocity carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Advection {
    /// First-order upwind.
    Upwind,
    /// Second order with van Leer's limiter.
    Limited,
}

/// A number for every cell.
#[derive(Clone, Copy)]
pub enum Term<'a, T> {
    /// The same for all.
    Number(f64),
    /// One for each.
    PerPoint(&'a [T]),
}

/// What happens at one side of one axis.
#[derive(Clone, Copy)]
pub enum Side<'a, T> {
    /// The grid goes on at the axis's other end; so it does there.
    Periodic,
    /// No flux.
    Insulated,
    /// The value on the face.
    Value(Face<'a, T>),
    /// The inward flux D ∂u/∂n.
    Flux(Face<'a, T>),
    /// a·u + b·∂u/∂n = c on the face, n outward.
    Robin {
        /// Factor of the value.
        a: f64,
        /// Factor of the slope.
        b: f64,
        /// Their sum.
        c: Face<'a, T>,
    },
}

/// Numbers along a side: for all of it or for each cell, for all steps or for each step of a call.
#[derive(Clone, Copy)]
pub struct Face<'a, T> {
    /// `levels` times one number or as many as the side has cells.
    pub values: &'a [T],
    /// 1, or the number of steps.
    pub levels: usize,
}

impl<T: Real> Face<'_, T> {
    /// The number of cell `cell` at step `level`, on a side of `cells`.
    pub fn get(&self, level: usize, cell: usize) -> T {
        let length = self.values.len() / self.levels;
        let level = if self.levels == 1 { 0 } else { level };
        self.values[level * length + if length == 1 { 0 } else { cell }]
    }
}

impl<'a, T: Real> Problem<'a, T> {
    /// Number of cells.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the address space holds no such field.
    pub fn cells(&self) -> Result<usize, Error> {
        let [a, b, c] = self.shape;
        a.checked_mul(b)
            .and_then(|cells| cells.checked_mul(c))
            .filter(|cells| cells.checked_mul(size_of::<T>()).is_some())
            .ok_or(Error::TooLarge { what: "field" })
    }

    /// Whether the grid is closed to a ring along `axis`.
    pub fn periodic(&self, axis: usize) -> bool {
        matches!(self.sides[axis][0], Side::Periodic)
    }

    /// Cells on a side of `axis`.
    pub fn face_cells(&self, axis: usize) -> usize {
        let mut others = self.shape;
        others[axis] = 1;
        others.iter().product()
    }

    /// The cell on side `side` (0 low, 1 high) of `axis` that is number `cell` on that side.
    pub fn side_cell(&self, axis: usize, side: usize, cell: usize) -> usize {
        let [_, n1, n2] = self.shape;
        let end = if side == 0 { 0 } else { self.shape[axis] - 1 };
        match axis {
            0 => end * n1 * n2 + cell,
            1 => (cell / n2 * n1 + end) * n2 + cell % n2,
            _ => cell * n2 + end,
        }
    }

    /// D of `cell` along `axis`.
    pub fn diffusivity_at(&self, axis: usize, cell: usize) -> T {
        match self.diffusivity {
            Diffusivity::Constant(all) => T::from_f64(all[axis]),
            Diffusivity::PerPoint(values) => values[cell],
        }
    }

    /// D on the face between two cells with D = `a` and `b`.
    pub fn face_mean(&self, a: T, b: T) -> T {
        let sum = a + b;
        match self.mean {
            // The smaller one is taken out, so that the product cannot overflow or vanish.
            Mean::Harmonic if sum > T::ZERO => {
                let (low, high) = if a < b { (a, b) } else { (b, a) };
                let share = high / sum;
                low * (share + share)
            }
            Mean::Harmonic => T::ZERO,
            Mean::Arithmetic => sum * T::from_f64(0.5),
        }
    }

    /// Whether `cell` is a wall.
    pub fn is_wall(&self, cell: usize) -> bool {
        self.walls.is_some_and(|walls| walls[cell] != 0)
    }

    /// Checks that every array has the grid's size, or its side's and one for each of `steps`, and
    /// that `field` and `out` hold the same whole number of grids.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Value`] that names the argument.
    pub fn check(&self, field: usize, out: usize, steps: usize) -> Result<(), Error> {
        let cells = self.cells()?;
        let sized = |argument, given: usize, wanted: usize| {
            if given == wanted {
                return Ok(());
            }
            Err(Error::Shape {
                argument,
                given: vec![given],
                allowed: format!("{wanted} elements, one for each cell"),
            })
        };
        if cells == 0 || !field.is_multiple_of(cells) {
            sized("field", field, cells)?;
        }
        sized("out", out, field)?;
        if let Diffusivity::PerPoint(values) = self.diffusivity {
            sized("diffusivity", values.len(), cells)?;
        }
        for (argument, bytes) in [("walls", self.walls), ("held", self.held)] {
            if let Some(bytes) = bytes {
                sized(argument, bytes.len(), cells)?;
            }
        }
        for (argument, term) in [("decay", self.decay), ("source", self.source)] {
            if let Some(Term::PerPoint(values)) = term {
                sized(argument, values.len(), cells)?;
            }
        }
        if let Some(velocity) = self.velocity {
            for axis in 0..3 {
                if !(velocity[axis].is_empty() && self.shape[axis] == 1) {
                    sized("velocity", velocity[axis].len(), cells)?;
                }
            }
        }
        for axis in 0..3 {
            self.check_sides(axis, steps)?;
        }
        if !matches!(self.order, 2 | 4 | 6 | 8) {
            return Err(Error::Value {
                argument: "order",
                given: self.order.to_string(),
                allowed: "2, 4, 6 or 8",
            });
        }
        Ok(())
    }

    fn check_sides(&self, axis: usize, steps: usize) -> Result<(), Error> {
        let periodic = |side: &Side<T>| matches!(side, Side::Periodic);
        if periodic(&self.sides[axis][0]) != periodic(&self.sides[axis][1]) {
            return Err(Error::Value {
                argument: "boundary",
                given: "periodic on one side".to_owned(),
                allowed: "periodic on both sides of an axis or on neither",
            });
        }
        for side in &self.sides[axis] {
            let face = match side {
                Side::Periodic | Side::Insulated => continue,
                Side::Value(face) | Side::Flux(face) | Side::Robin { c: face, .. } => face,
            };
            let levels = face.levels == 1 || (face.levels > 0 && face.levels == steps);
            let length = face.values.len() / face.levels.max(1);
            let whole = length * face.levels == face.values.len();
            if !(levels && whole && (length == 1 || length == self.face_cells(axis))) {
                return Err(Error::Shape {
                    argument: "boundary",
                    given: vec![face.levels, length],
                    allowed: format!(
                        "1 or {steps} levels of 1 or {} numbers",
                        self.face_cells(axis)
                    ),
                });
            }
        }
        Ok(())
    }
}
