//! Lines of cells, one line a lane: `(I − H) δ = H u` or `= t`, H tridiagonal or, in a ring, with
//! two corners.
//!
//! H is half a step times the operator along one axis: c the coefficient of a cell's low face,
//! a what the cell itself loses. H u at cell i = c₊(u₊ − u) − c(u − u₋) − a·u.
//!
//! down:  z = m·(t + c·z₋);   up:  x = z + m·c₊·x₊,   m the inverse pivot.
//! ring:  the last cell X is eliminated last; f couples a cell to it once all before are gone:
//!        X = m·(t + Σ f·z);  x = z + m·(c₊·x₊ + f·X).
//!
//! The unknown is the change δ, so a field in balance stays as it is, bit for bit, whatever the
//! rounding of the factors. A lane is 64 bytes of lines (`T::Wide`): two chains of multiply-adds on
//! AVX2, which is as much as the loads of a row take.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::simd::Real;

/// Lines that are worked on at once.
pub(super) const fn lanes<T>() -> usize {
    64 / size_of::<T>()
}

/// c of a record.
pub(super) const FACE: usize = 0;
/// m of a record; 0 where the cell is held.
pub(super) const INVERSE: usize = 1;
/// a of a record that has it.
pub(super) const LOSS: usize = 2;

/// The factors along one block of lines: a record for each cell.
#[derive(Clone, Copy)]
pub(super) struct Line<'a, T> {
    pub(super) records: &'a [T],
    /// One number for all lines instead of one for each.
    pub(super) shared: bool,
    /// Numbers of a record: c, m, then a, then f.
    pub(super) size: usize,
    pub(super) loss: bool,
    pub(super) ring: bool,
    pub(super) cells: usize,
}

impl<T: Real> Line<'_, T> {
    #[inline(always)]
    pub(super) fn get<S: Simd>(&self, simd: S, cell: usize, part: usize) -> T::Wide<S> {
        let at = cell * self.size + part;
        if self.shared {
            T::Wide::<S>::splat(simd, self.records[at])
        } else {
            load::<S, T, false>(simd, self.records, at)
        }
    }
}

/// Row `at` of rows of lanes; of single numbers if there is but one line.
#[inline(always)]
pub(super) fn load<S: Simd, T: Real, const LONE: bool>(
    simd: S,
    rows: &[T],
    at: usize,
) -> T::Wide<S> {
    if LONE {
        T::Wide::<S>::splat(simd, rows[at])
    } else {
        let lanes = T::Wide::<S>::LEN;
        T::Wide::<S>::from_slice(simd, &rows[at * lanes..][..lanes])
    }
}

/// The counterpart of [`load`].
#[inline(always)]
pub(super) fn store<S: Simd, T: Real, const LONE: bool>(
    value: T::Wide<S>,
    rows: &mut [T],
    at: usize,
) {
    if LONE {
        rows[at] = value.as_slice()[0];
    } else {
        let lanes = T::Wide::<S>::LEN;
        value.store_slice(&mut rows[at * lanes..][..lanes]);
    }
}

/// H u at one cell after the other.
pub(super) struct Fluxes<V> {
    /// Through the low face of the cell.
    low: V,
    /// u of the cell.
    here: V,
    /// c of the cell.
    face: V,
    /// What closes the ring.
    end: V,
}

impl<V> Fluxes<V> {
    #[inline(always)]
    pub(super) fn new<S: Simd, T: Real<Wide<S> = V>, const LONE: bool>(
        simd: S,
        line: &Line<T>,
        u: &[T],
    ) -> Self
    where
        V: SimdFloat<S, Element = T>,
    {
        let here = load::<S, T, LONE>(simd, u, 0);
        let face = line.get(simd, 0, FACE);
        let end = if line.ring {
            face * (here - load::<S, T, LONE>(simd, u, line.cells - 1))
        } else {
            V::splat(simd, T::ZERO)
        };
        Self {
            low: end,
            here,
            face,
            end,
        }
    }

    /// H u at `cell`, and u there; then the next cell's turn comes.
    #[inline(always)]
    pub(super) fn next<S: Simd, T: Real<Wide<S> = V>, const LONE: bool>(
        &mut self,
        simd: S,
        line: &Line<T>,
        u: &[T],
        cell: usize,
    ) -> (V, V)
    where
        V: SimdFloat<S, Element = T>,
    {
        let here = self.here;
        let high = if cell + 1 < line.cells {
            self.face = line.get(simd, cell + 1, FACE);
            self.here = load::<S, T, LONE>(simd, u, cell + 1);
            self.face * (self.here - here)
        } else {
            self.end
        };
        let mut change = high - self.low;
        if line.loss {
            change -= line.get(simd, cell, LOSS) * here;
        }
        self.low = high;
        (change, here)
    }
}

/// `u ← u + weight·δ, (I − H) δ = H u + half·given`; `work` has a row for each cell.
#[simd]
pub(super) fn step<S: Simd, T: Real, const LONE: bool>(
    simd: S,
    line: Line<T>,
    u: &mut [T],
    work: &mut [T],
    given: Option<(&[T], T)>,
    weight: T,
) {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    let inner = line.cells - usize::from(line.ring);
    let mut fluxes = Fluxes::new::<S, T, LONE>(simd, &line, u);
    let mut z = splat(T::ZERO);
    let mut sum = splat(T::ZERO);
    for i in 0..line.cells {
        let face = fluxes.face;
        let (mut t, _) = fluxes.next::<S, T, LONE>(simd, &line, u, i);
        if let Some((given, half)) = given {
            t = splat(given[i]).mul_add(splat(half), t);
        }
        down::<S, T, LONE>(simd, &line, i, inner, t, face, &mut z, &mut sum, work);
    }
    let weight = splat(weight);
    up::<S, T, LONE>(
        simd,
        &line,
        work,
        #[inline(always)]
        |i, x, _| {
            let value = weight.mul_add(x, load::<S, T, LONE>(simd, u, i));
            store::<S, T, LONE>(value, u, i);
        },
    );
}

/// `t ← δ, (I − H) δ = t`.
#[simd]
pub(super) fn solve<S: Simd, T: Real>(simd: S, line: Line<T>, t: &mut [T]) {
    let inner = line.cells - usize::from(line.ring);
    let mut z = T::Wide::<S>::splat(simd, T::ZERO);
    let mut sum = z;
    for i in 0..line.cells {
        let face = line.get(simd, i, FACE);
        let value = load::<S, T, false>(simd, t, i);
        down::<S, T, false>(simd, &line, i, inner, value, face, &mut z, &mut sum, t);
    }
    up::<S, T, false>(
        simd,
        &line,
        t,
        #[inline(always)]
        |i, x, t| store::<S, T, false>(x, t, i),
    );
}

/// `out = keep·u + weight·H u`, and u where it is held; `out` may be where u was.
#[simd]
pub(super) fn apply<S: Simd, T: Real>(
    simd: S,
    line: Line<T>,
    u: &mut [T],
    out: Option<&mut [T]>,
    keep: T,
    weight: T,
) {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    let (keep, weight, zero) = (splat(keep), splat(weight), splat(T::ZERO));
    let mut fluxes = Fluxes::new::<S, T, false>(simd, &line, u);
    let mut out = out;
    for i in 0..line.cells {
        let (mut change, here) = fluxes.next::<S, T, false>(simd, &line, u, i);
        if !line.shared {
            let held = line.get(simd, i, INVERSE).simd_eq(zero);
            change = held.select(zero, change);
        }
        let value = keep.mul_add(here, weight * change);
        match &mut out {
            Some(out) => store::<S, T, false>(value, out, i),
            None => store::<S, T, false>(value, u, i),
        }
    }
}

/// One cell on the way down.
#[expect(clippy::too_many_arguments, reason = "the state of the elimination")]
#[inline(always)]
fn down<S: Simd, T: Real, const LONE: bool>(
    simd: S,
    line: &Line<T>,
    cell: usize,
    inner: usize,
    t: T::Wide<S>,
    face: T::Wide<S>,
    z: &mut T::Wide<S>,
    sum: &mut T::Wide<S>,
    work: &mut [T],
) {
    let inverse = line.get(simd, cell, INVERSE);
    if cell < inner {
        // The product stands outside the chain from cell to cell, which is one multiply-add.
        *z = (face * inverse).mul_add(*z, t * inverse);
        if line.ring {
            *sum = line.get(simd, cell, line.size - 1).mul_add(*z, *sum);
        }
        store::<S, T, LONE>(*z, work, cell);
    } else {
        store::<S, T, LONE>((t + *sum) * inverse, work, cell);
    }
}

/// All cells on the way up, δ of each to `take`.
#[inline(always)]
fn up<S: Simd, T: Real, const LONE: bool>(
    simd: S,
    line: &Line<T>,
    work: &mut [T],
    mut take: impl FnMut(usize, T::Wide<S>, &mut [T]),
) {
    let zero = T::Wide::<S>::splat(simd, T::ZERO);
    let inner = line.cells - usize::from(line.ring);
    let mut last = zero;
    if line.ring {
        last = load::<S, T, LONE>(simd, work, inner);
        take(inner, last, work);
    }
    let (mut x, mut face) = (zero, zero);
    for i in (0..inner).rev() {
        let inverse = line.get(simd, i, INVERSE);
        let mut z = load::<S, T, LONE>(simd, work, i);
        if line.ring {
            z = (inverse * line.get(simd, i, line.size - 1)).mul_add(last, z);
        }
        x = (inverse * face).mul_add(x, z);
        take(i, x, work);
        face = line.get(simd, i, FACE);
    }
}
