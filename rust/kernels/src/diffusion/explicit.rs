//! Euler's method: u ← u + dt·(what [`super::problem`] says ∂u/∂t is).
//!
//! Two ways with the same bits: [`blocking`] makes several steps in each pass over memory; the plain
//! sweep here makes one, for each slab of planes, on any thread: for each plane, load the one
//! behind it, step it, store it. The plain sweep serves velocity, and is what blocking is tested
//! against.

use fearless_simd::Simd;

use super::advection;
use super::blocking::{self, Scheme};
use super::boundary::between;
use super::plane::{Planes, Step};
use super::problem::Problem;
use super::stencil;
use super::sweep::{Layout, Slots, Span, Sweep};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

/// How many steps each pass over memory makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// As many as are fastest.
    Auto,
    /// One, by the plain sweep.
    Plain,
    /// This many, at least 1.
    Levels(usize),
}

/// `out` is `field`, any number of grids one after the other, `steps` steps of `dt` later. `aside`,
/// as large as `out`, takes what is between; without it memory is had and left again.
///
/// # Errors
/// As [`Problem::check`]; [`Error::OutOfMemory`], [`Error::Interrupted`].
#[expect(clippy::too_many_arguments, reason = "a method's own options")]
pub fn explicit<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    aside: Option<&mut [T]>,
    dt: f64,
    steps: usize,
    blocking: Blocking,
    context: &Context,
) -> Result<(), Error> {
    problem.check(field.len(), out.len(), steps)?;
    if steps == 0 || field.is_empty() {
        out.copy_from_slice(field);
        return Ok(());
    }
    if problem.order > 2 {
        return stencil::explicit(problem, field, out, aside, dt, steps, context);
    }
    let sweep = Sweep::new(problem, dt)?;
    let levels = match blocking {
        _ if problem.velocity.is_some() => 1,
        Blocking::Plain => 1,
        Blocking::Levels(levels) => levels.clamp(1, blocking::MOST_LEVELS),
        Blocking::Auto => blocking::levels(&sweep, context.threads),
    };
    let passes = steps.div_ceil(levels);
    let mut own = Vec::new();
    let other = between(passes > 1, aside, &mut own, field.len())?;
    let plainly = blocking == Blocking::Plain || problem.velocity.is_some();
    let scratch = if plainly {
        Scratch::new(1, 0)?
    } else {
        let grids = field.len() / problem.cells()?;
        blocking::scratch(&sweep, steps.div_ceil(passes), false, grids, context)?
    };
    let mut buffers = [out, other];
    // The last pass writes to out, each one to the buffer that the one before did not.
    let mut to = (passes + 1) % 2;
    let mut level = 0;
    for pass in 0..passes {
        let end = steps * (pass + 1) / passes;
        let [first, second] = &mut buffers;
        let (target, source): (&mut [T], &[T]) = if to == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let source = if pass == 0 { field } else { source };
        let count = end - level;
        fearless_simd::dispatch!(context.level, simd => {
            if plainly {
                plain(simd, &sweep, source, target, (Step::Euler, level), context)
            } else {
                let all = [Step::Euler; blocking::MOST_LEVELS];
                let scheme = Scheme { steps: &all[..count], first: level, blend: None };
                blocking::pass(simd, &sweep, (source, target), scheme, &scratch, context)
            }
        })?;
        advection::sweep(problem, source, target, level, dt, context)?;
        level = end;
        to = 1 - to;
    }
    Ok(())
}

/// One plain step from `from` to `to`. For a stage, `to` holds the field before `from`.
pub(super) fn plain<S: Simd, T: Real>(
    simd: S,
    sweep: &Sweep<T>,
    from: &[T],
    to: &mut [T],
    (step, level): (Step<T>, usize),
    context: &Context,
) -> Result<(), Error> {
    let problem = sweep.problem;
    let columns = problem.shape[2];
    let (planes, rows) = (sweep.planes(), sweep.plane_rows());
    let window = sweep.window(Span::whole(rows), Span::whole(columns));
    let layout = Layout::new(sweep, &window.shape);
    let (size, slot) = (window.shape.size(), layout.slot());
    // Enough slabs for the threads, each thick enough that loading its edges twice is little.
    let slab = planes.div_ceil(4 * context.threads).max(planes.min(16));
    let slabs = planes.div_ceil(slab);
    let shape = [to.len() / columns, columns];
    let tiles = ViewMut::contiguous(to, &shape)?.split_rows(planes * rows, slab * rows)?;
    let ring = problem.periodic(sweep.along);
    let memory = 6 * size + 3 * slot;
    let scratch = Scratch::new(threads::workers(context, tiles.tiles()), memory)?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut out = tiles.take(turn.tile);
        let cells = planes * rows * columns;
        let grid = &from[turn.tile / slabs * cells..][..cells];
        let mut buffer = scratch.lock(turn.worker);
        let (closed, rest) = buffer.split_at_mut(size);
        let (made, rest) = rest.split_at_mut(size);
        let (older, rest) = rest.split_at_mut(size);
        let (loaded, slots) = rest.split_at_mut(3 * size);
        closed.fill(T::ZERO);
        let start = turn.tile % slabs * slab;
        let end = planes.min(start + slab);
        // Planes from one before the slab to one behind it, numbered from 0, as far as there are.
        let span = Span::around(start, end, 1, planes, ring);
        let at_top = !ring && start == 0;
        let at_bottom = !ring && end == planes;
        for place in 0..span.length + usize::from(at_bottom) {
            if turn.cancelled() {
                return;
            }
            if place < span.length {
                let z = span.cell(place);
                let at = place % 3;
                sweep.load(grid, z, &window, &mut loaded[at * size..][..size]);
                if slot > 0 {
                    let (here, before) = two(slots, at, (at + 2) % 3, slot);
                    sweep.fill(
                        simd,
                        &layout,
                        z,
                        &window,
                        (place > 0).then_some(before),
                        here,
                    );
                }
            }
            let Some(here) = place.checked_sub(1).filter(|here| at_top || *here > 0) else {
                continue;
            };
            let plane = |place: usize| &loaded[place % 3 * size..][..size];
            let at = |place: usize| &slots[place % 3 * slot..][..slot];
            let z = span.cell(here);
            let around = Planes {
                up: plane(here.saturating_sub(1)),
                here: plane(here),
                down: plane(place.min(span.length - 1)),
            };
            let coefficients = Slots {
                here: at(here),
                before: if here == 0 || slot == 0 {
                    &[]
                } else {
                    at(here - 1)
                },
                closed,
            };
            let row = |y: usize| (z - start) * rows + y;
            if let Step::Stage(_) = step {
                for y in 0..rows {
                    sweep.load_row(out.row(row(y)), z, y, &window, older);
                }
            }
            let stepped = (step, &*older, level);
            sweep.step(
                simd,
                &layout,
                z,
                &window,
                coefficients,
                around,
                stepped,
                made,
            );
            for y in 0..rows {
                let cell = sweep.row_start(z, y);
                sweep.store(
                    simd,
                    None,
                    made,
                    y,
                    &window,
                    0..columns,
                    grid,
                    cell,
                    out.row(row(y)),
                );
            }
        }
    })
}

/// Slots `a` and `b` of `slots`, which are two.
fn two<T>(slots: &mut [T], a: usize, b: usize, slot: usize) -> (&mut [T], &mut [T]) {
    if a < b {
        let (low, high) = slots.split_at_mut(b * slot);
        (&mut low[a * slot..][..slot], &mut high[..slot])
    } else {
        let (low, high) = slots.split_at_mut(a * slot);
        (&mut high[..slot], &mut low[b * slot..][..slot])
    }
}
