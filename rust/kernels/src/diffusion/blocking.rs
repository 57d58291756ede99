//! Several steps in each pass over memory.
//!
//! for each slab of planes, on any thread; for each tile across it; for each block of B planes:
//! load them as level 0; for each level l: step the block of level l − 1, one plane further back.
//!
//! A slab begins T planes early and ends T late, a tile has a halo of T on either side: what is
//! wrong at their edges comes one cell nearer with each of T levels and reaches none that is
//! stored. At the grid's own sides nothing is wrong, and nothing is done twice there. Each cell's
//! value is made by the same operations in the same order as in the plain sweep, so its bits are
//! the same.
//!
//! Level l needs planes z − 1, z, z + 1 of level l − 1: the block just made, and the last two
//! planes of the block before, which each level keeps. Hot blocks are two (RKL2: three, since a
//! stage reads two levels) that swap: with tiles of [`Blocks`] they stay in L1 and L2, where a ring
//! of planes for each level would not. Coefficients of faces are made once a pass, when their plane
//! is loaded, into a ring of T + B + 2 planes, and read by all levels.

use fearless_simd::Simd;

use super::plane::{Planes, Stages, Step};
use super::sweep::{Layout, Slots, Span, Sweep, Window};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{Rows, ViewMut};
use crate::{Context, Error};

/// Sizes of a pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    /// Planes in a block, at least 2.
    pub(super) block: usize,
    /// Planes in a slab, without what it does twice.
    pub(super) slab: usize,
    /// Rows (grids of three axes) or columns in a tile, without its halo.
    pub(super) across: usize,
}

/// More levels are never in a pass.
pub(super) const MOST_LEVELS: usize = 64;

/// How many steps a pass over memory makes where it is fastest.
pub(super) fn levels<T: Real>(sweep: &Sweep<T>, hot: usize) -> usize {
    let _ = hot;
    if sweep.along == 0 {
        6
    } else if sweep.varied {
        16
    } else {
        24
    }
}

/// With how many stages a step of RKL2 is made in one pass.
pub(super) fn most_stages<T: Real>(sweep: &Sweep<T>) -> usize {
    if sweep.along == 0 { 12 } else { MOST_LEVELS }
}

impl Blocks {
    /// The sizes that are fastest for passes of `levels` levels with `hot` hot blocks.
    pub(super) fn new<T: Real>(
        sweep: &Sweep<T>,
        levels: usize,
        hot: usize,
        threads: usize,
    ) -> Self {
        let _ = hot;
        let planes = sweep.planes();
        let env = |name: &str, value: usize| {
            std::env::var(name)
                .ok()
                .and_then(|v| v.parse().ok())
                .unwrap_or(value)
        };
        let slabs = threads.min(planes.div_ceil(2 * levels)).max(1);
        Self {
            block: env("NF_BLOCK", if sweep.along == 0 { 2 } else { 8 }),
            slab: planes.div_ceil(slabs),
            across: env(
                "NF_ACROSS",
                if sweep.along == 0 {
                    64
                } else {
                    2048 * 4 / size_of::<T>()
                },
            ),
        }
    }
}

/// Where the parts of a worker's memory begin, in planes or slots.
struct Memory {
    hot: usize,
    levels: usize,
    ring: usize,
    size: usize,
    slot: usize,
    block: usize,
    stages: bool,
}

impl Memory {
    fn new<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize, stages: bool) -> Self {
        let window = widest(sweep, blocks, levels);
        Self {
            hot: if stages { 3 } else { 2 },
            levels,
            ring: levels + blocks.block + 2,
            size: window.shape.size(),
            slot: Layout::new(sweep, &window.shape).slot(),
            block: blocks.block,
            stages,
        }
    }

    fn elements(&self) -> usize {
        let kept = if self.stages { 2 * self.ring } else { 0 };
        let planes = self.hot * self.block + 2 * self.levels + kept + 1;
        planes * self.size + self.ring * self.slot
    }
}

/// A window as large as any tile's.
fn widest<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize) -> Window {
    let span = |axis: usize, cut: bool| {
        let cells = sweep.problem.shape[axis];
        if !cut || blocks.across >= cells {
            return Span::whole(cells);
        }
        Span {
            start: 0,
            length: if sweep.problem.periodic(axis) {
                blocks.across + 2 * levels
            } else {
                cells.min(blocks.across + 2 * levels)
            },
            cells: usize::MAX >> 1,
        }
    };
    if sweep.along == 0 {
        sweep.window(span(1, true), span(2, false))
    } else {
        sweep.window(Span::whole(1), span(2, true))
    }
}

/// One pass: `to` is `from` after `steps`, the first of which is step `level` of the call.
pub(super) fn pass<S: Simd, T: Real>(
    simd: S,
    sweep: &Sweep<T>,
    blocks: &Blocks,
    from: &[T],
    to: &mut [T],
    (steps, level): (&[Step<T>], usize),
    context: &Context,
) -> Result<(), Error> {
    let stages = !matches!(steps[0], Step::Euler);
    let columns = sweep.problem.shape[2];
    let (planes, rows) = (sweep.planes(), sweep.plane_rows());
    let cells = planes * rows * columns;
    let slabs = planes.div_ceil(blocks.slab);
    let all_rows = to.len() / columns;
    let tiles = ViewMut::contiguous(to, &[all_rows, columns])?
        .split_rows(planes * rows, blocks.slab * rows)?;
    let memory = Memory::new(sweep, blocks, steps.len(), stages);
    let scratch = Scratch::new(threads::workers(context, tiles.tiles()), memory.elements())?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut rows = tiles.take(turn.tile);
        let mut buffer = scratch.lock(turn.worker);
        let grid = &from[turn.tile / slabs * cells..][..cells];
        let first = turn.tile % slabs * blocks.slab;
        let slab = first..planes.min(first + blocks.slab);
        slab_steps(
            simd,
            sweep,
            blocks,
            &memory,
            grid,
            (steps, level),
            slab,
            &mut buffer,
            &mut rows,
            &turn,
        );
    })
}

/// All tiles of one slab.
fn slab_steps<S: Simd, T: Real>(
    simd: S,
    sweep: &Sweep<T>,
    blocks: &Blocks,
    memory: &Memory,
    grid: &[T],
    steps: (&[Step<T>], usize),
    slab: std::ops::Range<usize>,
    buffer: &mut [T],
    out: &mut Rows<T>,
    turn: &Turn,
) {
    let levels = steps.0.len();
    let axis = if sweep.along == 0 { 1 } else { 2 };
    let cells = sweep.problem.shape[axis];
    let ring = sweep.problem.periodic(axis);
    let mut first = 0;
    while first < cells {
        let end = cells.min(first + blocks.across);
        let span = if first == 0 && end == cells {
            Span::whole(cells)
        } else {
            Span::around(first, end, levels, cells, ring)
        };
        let window = if axis == 1 {
            sweep.window(span, Span::whole(sweep.problem.shape[2]))
        } else {
            sweep.window(Span::whole(1), span)
        };
        let tile = Tile {
            window,
            slab: slab.clone(),
            across: first..end,
        };
        if !tile.steps(simd, sweep, memory, grid, steps, buffer, out, turn) {
            return;
        }
        first = end;
    }
}

/// The part of a slab that is worked on at once.
struct Tile {
    window: Window,
    slab: std::ops::Range<usize>,
    across: std::ops::Range<usize>,
}

impl Tile {
    /// Whether it was done to the end.
    #[expect(clippy::too_many_arguments, reason = "one tile's whole world")]
    fn steps<S: Simd, T: Real>(
        &self,
        simd: S,
        sweep: &Sweep<T>,
        memory: &Memory,
        grid: &[T],
        (steps, level): (&[Step<T>], usize),
        buffer: &mut [T],
        out: &mut Rows<T>,
        turn: &Turn,
    ) -> bool {
        let levels = steps.len();
        let window = &self.window;
        let planes = sweep.planes();
        let ring_of_planes = sweep.problem.periodic(sweep.along);
        let span = Span::around(
            self.slab.start,
            self.slab.end,
            levels,
            planes,
            ring_of_planes,
        );
        let at_top = !ring_of_planes && span.start == 0;
        let at_bottom = !ring_of_planes && span.start as usize + span.length == planes;
        let layout = Layout::new(sweep, &window.shape);
        let size = window.shape.size();
        let mut parts = Parts::new(buffer, memory, &layout, size);
        let block = memory.block;
        // Planes of the span are numbered from 0; in step k, level l makes those from k·block − l on.
        let stored = {
            let first = span.place(self.slab.start);
            first..first + self.slab.len()
        };
        for k in 0..(stored.end + levels).div_ceil(block) {
            if turn.cancelled() {
                return false;
            }
            parts.load(simd, sweep, &layout, grid, window, &span, k * block);
            for l in 1..=levels {
                let valid = if at_top { 0 } else { l }..if at_bottom {
                    span.length
                } else {
                    span.length - l
                };
                let step = steps[l - 1];
                let made = std::mem::take(&mut parts.hot[l % memory.hot]);
                let rates = std::mem::take(&mut parts.rate);
                for i in 0..block {
                    let Some(place) = (k * block + i).checked_sub(l) else {
                        continue;
                    };
                    if !valid.contains(&place) {
                        continue;
                    }
                    let z = span.cell(place);
                    let here = parts.plane(l - 1, i + 1);
                    let planes = Planes {
                        up: if at_top && place == 0 {
                            here
                        } else {
                            parts.plane(l - 1, i)
                        },
                        here,
                        down: if at_bottom && place + 1 == span.length {
                            here
                        } else {
                            parts.plane(l - 1, i + 2)
                        },
                    };
                    let coefficients = parts.coefficients(&layout, place, at_top && place == 0);
                    let kept = place % memory.ring * size..(place % memory.ring + 1) * size;
                    let mut stages = Stages {
                        zero: parts.zero.get(kept.clone()).unwrap_or(&[]),
                        older: if l > 1 && memory.stages {
                            parts.plane(l - 2, i)
                        } else {
                            &[]
                        },
                        rate: rates.get_mut(kept).unwrap_or(&mut []),
                    };
                    let result = &mut made[i * size..][..size];
                    sweep.step(
                        simd,
                        &layout,
                        z,
                        window,
                        coefficients,
                        planes,
                        (step, level + l - 1),
                        &mut stages,
                        result,
                    );
                    if l == levels && stored.contains(&place) {
                        self.store(sweep, result, z, grid, out);
                    }
                }
                parts.hot[l % memory.hot] = made;
                parts.rate = rates;
                // A level's last two planes replace those of its block before as soon as no level
                // of this block reads those any more.
                if let Some(done) = l.checked_sub(memory.hot - 1) {
                    parts.keep(done);
                }
            }
            if memory.stages {
                parts.keep(levels - 1);
            }
        }
        true
    }

    fn store<T: Real>(
        &self,
        sweep: &Sweep<T>,
        plane: &[T],
        z: usize,
        grid: &[T],
        out: &mut Rows<T>,
    ) {
        let place = z - self.slab.start;
        if sweep.along == 1 {
            let start = sweep.row_start(z, 0);
            let row = out.row(place);
            sweep.store(
                plane,
                0,
                &self.window,
                self.across.clone(),
                grid,
                start,
                row,
            );
            return;
        }
        let columns = 0..sweep.problem.shape[2];
        for y in self.across.clone() {
            let start = sweep.row_start(z, y);
            let row = out.row(place * sweep.plane_rows() + y);
            let at = self.window.rows.place(y);
            sweep.store(plane, at, &self.window, columns.clone(), grid, start, row);
        }
    }
}

/// A worker's memory, in parts.
struct Parts<'b, T> {
    hot: [&'b mut [T]; 3],
    /// The last two planes of each level's block before.
    carried: &'b mut [T],
    slots: &'b mut [T],
    /// Level 0, and the rates of the first stage.
    zero: &'b mut [T],
    rate: &'b mut [T],
    closed: &'b [T],
    block: usize,
    ring: usize,
    size: usize,
}

impl<'b, T: Real> Parts<'b, T> {
    fn new(buffer: &'b mut [T], memory: &Memory, layout: &Layout, size: usize) -> Self {
        let mut rest = buffer;
        let mut next = |length: usize| {
            let (part, left) = std::mem::take(&mut rest).split_at_mut(length);
            rest = left;
            part
        };
        let block = memory.block * size;
        let kept = if memory.stages { memory.ring * size } else { 0 };
        let third = if memory.hot == 3 { block } else { 0 };
        let closed = next(size);
        closed.fill(T::ZERO);
        Self {
            closed,
            hot: [next(block), next(block), next(third)],
            carried: next(2 * memory.levels * size),
            slots: next(memory.ring * layout.slot()),
            zero: next(kept),
            rate: next(kept),
            block: memory.block,
            ring: memory.ring,
            size,
        }
    }

    /// Loads the block of level 0 that begins at place `first` of the span.
    fn load<S: Simd>(
        &mut self,
        simd: S,
        sweep: &Sweep<T>,
        layout: &Layout,
        grid: &[T],
        window: &Window,
        span: &Span,
        first: usize,
    ) {
        let slot = layout.slot();
        for place in first..span.length.min(first + self.block) {
            let z = span.cell(place);
            let plane = &mut self.hot[0][(place - first) * self.size..][..self.size];
            sweep.load(grid, z, window, plane);
            let at = place % self.ring;
            if !self.zero.is_empty() {
                self.zero[at * self.size..][..self.size].copy_from_slice(plane);
            }
            if slot > 0 {
                let (here, before) = if at == 0 {
                    let (here, rest) = self.slots.split_at_mut(slot);
                    (here, &mut rest[(self.ring - 2) * slot..])
                } else {
                    let (before, here) = self.slots.split_at_mut(at * slot);
                    (&mut here[..slot], &mut before[(at - 1) * slot..])
                };
                let before = (place > 0).then_some(before);
                sweep.fill(simd, layout, z, window, before, here);
            }
        }
    }

    /// Plane `i` of level `level`: the two carried ones, then the block.
    #[inline(always)]
    fn plane(&self, level: usize, i: usize) -> &[T] {
        let (from, at) = if i < 2 {
            (&*self.carried, 2 * level + i)
        } else {
            let hot = if self.zero.is_empty() {
                level % 2
            } else {
                level % 3
            };
            (&*self.hot[hot], i - 2)
        };
        &from[at * self.size..][..self.size]
    }

    #[inline(always)]
    fn coefficients(&self, layout: &Layout, place: usize, first: bool) -> Slots<'_, T> {
        let slot = layout.slot();
        let at = |place: usize| &self.slots[place % self.ring * slot..][..slot];
        Slots {
            here: at(place),
            before: if first || slot == 0 {
                &[]
            } else {
                at(place - 1)
            },
            closed: self.closed,
        }
    }

    /// Makes the last two planes of level `level`'s block its carried ones.
    fn keep(&mut self, level: usize) {
        let hot = if self.zero.is_empty() {
            level % 2
        } else {
            level % 3
        };
        let last = &self.hot[hot][(self.block - 2) * self.size..][..2 * self.size];
        self.carried[2 * level * self.size..][..2 * self.size].copy_from_slice(last);
    }
}
