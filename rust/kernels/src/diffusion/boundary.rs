//! What a cell gains through the outer face of its side: `p·u + q` per unit time.
//!
//! With the ghost value behind the face and u_face = (u + ghost)/2, ∂u/∂n = (ghost − u)/h:
//! value v: D(ghost − u)/h² = 2D(v − u)/h²;  flux g: g/h;  robin a·u_face + b·∂u/∂n = c:
//! ghost = αu + β, α = (b/h − a/2)/(b/h + a/2), β = c/(b/h + a/2), D((α − 1)u + β)/h².

use super::problem::{Problem, Side};
use crate::Error;
use crate::simd::Real;

/// What the cells of one side gain: times a step, so ready to be added.
pub struct Exchange<T> {
    /// Factor of the cell's own value, ≤ 0: one for each cell of the side.
    pub own: Vec<T>,
    /// What is added: one for each cell of the side and each level.
    pub given: Vec<T>,
    levels: usize,
}

impl<T: Real> Exchange<T> {
    /// p and q of side `side` (0 low, 1 high) of `axis`, times `dt`; `None` where nothing passes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(
        problem: &Problem<T>,
        axis: usize,
        side: usize,
        dt: f64,
    ) -> Result<Option<Self>, Error> {
        let (face, h) = match &problem.sides[axis][side] {
            Side::Periodic | Side::Insulated => return Ok(None),
            Side::Value(face) | Side::Flux(face) | Side::Robin { c: face, .. } => {
                (face, problem.spacing[axis])
            }
        };
        // own = diffusive·D, given = (diffusive·D or plain)·value
        let (own, given, plain) = match problem.sides[axis][side] {
            Side::Flux(_) => (0.0, 0.0, dt / h),
            Side::Robin { a, b, .. } => {
                let sum = b / h + a / 2.0;
                (-dt * a / (sum * h * h), dt / (sum * h * h), 0.0)
            }
            _ => (-2.0 * dt / (h * h), 2.0 * dt / (h * h), 0.0),
        };
        let cells = problem.face_cells(axis);
        let mut exchange = Self {
            own: reserved(cells)?,
            given: reserved(cells.saturating_mul(face.levels))?,
            levels: face.levels,
        };
        for level in 0..face.levels {
            for cell in 0..cells {
                let at = problem.side_cell(axis, side, cell);
                let diffusivity = problem.diffusivity_at(axis, at).to_f64();
                let open = !problem.is_wall(at);
                if level == 0 {
                    let own = if open { own * diffusivity } else { 0.0 };
                    exchange.own.push(T::from_f64(own));
                }
                let value = face.get(level, cell).to_f64();
                let given = if open {
                    (given * diffusivity + plain) * value
                } else {
                    0.0
                };
                exchange.given.push(T::from_f64(given));
            }
        }
        Ok(Some(exchange))
    }

    /// q of every cell of the side at step `level`.
    pub fn given_at(&self, level: usize) -> &[T] {
        let cells = self.own.len();
        let level = if self.levels == 1 { 0 } else { level };
        &self.given[level * cells..][..cells]
    }
}

/// An empty vector with room for `length`.
pub(super) fn reserved<T>(length: usize) -> Result<Vec<T>, Error> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(length)
        .map_err(|_| Error::OutOfMemory {
            bytes: length.saturating_mul(size_of::<T>()),
        })?;
    Ok(vector)
}

/// `aside`, or else `own` made as large, for what is between two passes; nothing where there is
/// nothing between, but a wrong `aside` is refused all the same.
///
/// # Errors
/// [`Error::Shape`], [`Error::OutOfMemory`].
pub(super) fn between<'f, T: Real>(
    needed: bool,
    aside: Option<&'f mut [T]>,
    own: &'f mut Vec<T>,
    length: usize,
) -> Result<&'f mut [T], Error> {
    match aside {
        Some(aside) if aside.len() != length => Err(Error::Shape {
            argument: "aside",
            given: vec![aside.len()],
            allowed: format!("{length} elements, as the field has"),
        }),
        _ if !needed => Ok(&mut []),
        Some(aside) => Ok(aside),
        None => {
            *own = zeros(length)?;
            Ok(own)
        }
    }
}

/// `length` zeros. Their pages are touched by those who first write to them, on many threads, and
/// not here: for a large field that takes as long as several steps.
pub(super) fn zeros<T: Real>(length: usize) -> Result<Vec<T>, Error> {
    // Whether there is room is asked first, for `vec!` ends the process where there is none.
    drop(reserved::<T>(length)?);
    Ok(vec![T::ZERO; length])
}
