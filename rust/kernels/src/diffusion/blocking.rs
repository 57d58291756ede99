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
//! planes of the block before, which each level carries. Hot blocks are two (three for stages, which
//! read two levels) that swap: with tiles of [`Blocks`] they stay in L1 and L2, where a ring of
//! planes for each level would not. Coefficients of faces are made once a pass, when their plane
//! is loaded, into a ring of T + B + 2 planes, and read by all levels.

use std::ops::Range;

use fearless_simd::Simd;

use super::plane::{Planes, Run, Step};
use super::skewed;
use super::sweep::{Layout, Slots, Span, Sweep, Window};
use crate::scratch::Scratch;
use crate::simd::{Real, prefetch};
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

/// Bytes that a pass may use beside whole fields.
const MOST_MEMORY: usize = 30 << 20;

/// How many steps a pass over memory makes where it is fastest: the more, the less memory is waited
/// for, and the more the edges of two slabs are done twice.
pub(super) fn levels<T: Real>(sweep: &Sweep<T>, threads: usize) -> usize {
    let mut levels = match (sweep.along, sweep.planes()) {
        (0, 0..128) => 6,
        (0, _) => 12,
        (_, 0..800) => 16,
        (_, 800..2048) => 24,
        _ => 48,
    };
    while levels > 1 && !fits(sweep, levels, false, threads) {
        levels -= levels.div_ceil(4);
    }
    levels
}

/// With how many stages a step of RKL2 is made in one pass.
pub(super) fn most_stages<T: Real>(sweep: &Sweep<T>, threads: usize) -> usize {
    let mut stages = if sweep.along == 0 { 24 } else { MOST_LEVELS };
    while stages > 1 && !fits(sweep, stages, true, threads) {
        stages -= stages.div_ceil(4);
    }
    stages
}

/// Whether passes of `levels` levels keep to [`MOST_MEMORY`].
fn fits<T: Real>(sweep: &Sweep<T>, levels: usize, stages: bool, threads: usize) -> bool {
    let blocks = Blocks::new(sweep, levels, threads);
    let elements = elements(sweep, &blocks, levels, stages);
    let workers = threads.min(sweep.planes().div_ceil(blocks.slab));
    elements * workers * size_of::<T>() <= MOST_MEMORY
}

impl Blocks {
    /// The sizes that are fastest for passes of `levels` levels: measured with 512 KB of L2 a core.
    /// Planes of one row: rows of 16 KB, since short ones pay for their halos; blocks of 16 rows
    /// where that is a small part of the grid. Else tiles of 32 rows, in blocks of 4 planes.
    pub(super) fn new<T: Real>(sweep: &Sweep<T>, levels: usize, threads: usize) -> Self {
        let planes = sweep.planes();
        let slabs = threads.min(planes.div_ceil(2 * levels)).max(1);
        let (block, across) = if skewed::serves(sweep) {
            (4, 32)
        } else if sweep.along == 0 {
            (4, 64)
        } else if sweep.varied || planes < 400 {
            (8, 8192 / size_of::<T>())
        } else {
            (16, 16384 / size_of::<T>())
        };
        Self {
            block,
            slab: planes.div_ceil(slabs),
            across,
        }
    }
}

/// How large the parts of a worker's memory are: planes of `size` elements, slots of `slot`.
struct Memory {
    levels: usize,
    block: usize,
    /// Hot blocks: a stage reads two levels and writes a third.
    hot: usize,
    /// Of what each level carries: a stage still reads the old ones when the new are written.
    generations: usize,
    ring: usize,
    size: usize,
    slot: usize,
}

impl Memory {
    fn new<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize, stages: bool) -> Self {
        let window = widest(sweep, blocks, levels);
        Self {
            levels,
            block: blocks.block,
            hot: if stages { 3 } else { 2 },
            generations: if stages { 2 } else { 1 },
            ring: levels + blocks.block + 2,
            size: window.shape.size(),
            slot: Layout::new(sweep, &window.shape).slot(),
        }
    }

    fn elements(&self) -> usize {
        let planes = self.hot * self.block + 2 * self.generations * self.levels + 1;
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

/// What a pass does.
#[derive(Clone, Copy)]
pub(super) struct Scheme<'s, T> {
    pub(super) steps: &'s [Step<T>],
    /// Which step of the call the first is.
    pub(super) first: usize,
    /// For stages: how far the result goes from the pass's field to the last stage.
    pub(super) blend: Option<T>,
}

/// Memory for passes of `levels` levels at most over `grids` grids. Fewer levels may have more slabs,
/// of less memory each.
pub(super) fn scratch<T: Real>(
    sweep: &Sweep<T>,
    levels: usize,
    stages: bool,
    grids: usize,
    context: &Context,
) -> Result<Scratch<T>, Error> {
    let blocks = Blocks::new(sweep, levels, context.threads);
    let most = threads::workers(context, grids.saturating_mul(sweep.planes()));
    Scratch::new(most, elements(sweep, &blocks, levels, stages))
}

/// Elements of a worker's memory.
fn elements<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize, stages: bool) -> usize {
    if skewed::serves(sweep) {
        skewed::elements(sweep, blocks, levels, stages)
    } else {
        Memory::new(sweep, blocks, levels, stages).elements()
    }
}

/// One pass: `to` is `from` after the steps of `scheme`.
pub(super) fn pass<S: Simd, T: Real>(
    simd: S,
    sweep: &Sweep<T>,
    (from, to): (&[T], &mut [T]),
    scheme: Scheme<T>,
    scratch: &Scratch<T>,
    context: &Context,
) -> Result<(), Error> {
    let blocks = &Blocks::new(sweep, scheme.steps.len(), context.threads);
    if skewed::serves(sweep) {
        return skewed::pass(simd, sweep, blocks, (from, to), scheme, scratch, context);
    }
    let columns = sweep.problem.shape[2];
    let (planes, rows) = (sweep.planes(), sweep.plane_rows());
    let cells = planes * rows * columns;
    let slabs = planes.div_ceil(blocks.slab);
    let all_rows = to.len() / columns;
    let tiles = ViewMut::contiguous(to, &[all_rows, columns])?
        .split_rows(planes * rows, blocks.slab * rows)?;
    let memory = Memory::new(sweep, blocks, scheme.steps.len(), scheme.blend.is_some());
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let first = turn.tile % slabs * blocks.slab;
        let slab = Slab {
            sweep,
            memory: &memory,
            grid: &from[turn.tile / slabs * cells..][..cells],
            scheme,
            planes: first..planes.min(first + blocks.slab),
        };
        let mut buffer = scratch.lock(turn.worker);
        let mut out = tiles.take(turn.tile);
        slab.run(simd, blocks.across, &mut buffer, &mut out, &turn);
    })
}

/// Some planes of one grid, and what is done with them.
struct Slab<'s, 'p, 'a, T> {
    sweep: &'s Sweep<'p, 'a, T>,
    memory: &'s Memory,
    grid: &'s [T],
    scheme: Scheme<'s, T>,
    planes: Range<usize>,
}

impl<T: Real> Slab<'_, '_, '_, T> {
    /// All its tiles.
    fn run<S: Simd>(
        &self,
        simd: S,
        across: usize,
        buffer: &mut [T],
        out: &mut Rows<T>,
        turn: &Turn,
    ) {
        let sweep = self.sweep;
        let problem = sweep.problem;
        let levels = self.scheme.steps.len();
        let axis = if sweep.along == 0 { 1 } else { 2 };
        let cells = problem.shape[axis];
        let mut first = 0;
        while first < cells {
            let end = cells.min(first + across);
            let span = if first == 0 && end == cells {
                Span::whole(cells)
            } else {
                Span::around(first, end, levels, cells, problem.periodic(axis))
            };
            let window = if axis == 1 {
                sweep.window(span, Span::whole(problem.shape[2]))
            } else {
                sweep.window(Span::whole(1), span)
            };
            let tile = Tile::new(self, window, first..end);
            let mut parts = Parts::new(buffer, self.memory, &tile.layout, window.shape.size());
            for k in 0..tile.blocks() {
                if turn.cancelled() {
                    return;
                }
                tile.block(simd, k, &mut parts, out);
            }
            first = end;
        }
    }
}

/// The part of a slab that is worked on at once. Planes are numbered from the first that is loaded,
/// by their place.
struct Tile<'t, 's, 'p, 'a, T> {
    slab: &'t Slab<'s, 'p, 'a, T>,
    window: Window,
    layout: Layout,
    /// Rows, or columns, that are stored.
    across: Range<usize>,
    span: Span,
    at_top: bool,
    at_bottom: bool,
    /// Places that are stored.
    stored: Range<usize>,
}

impl<'t, 's, 'p, 'a, T: Real> Tile<'t, 's, 'p, 'a, T> {
    fn new(slab: &'t Slab<'s, 'p, 'a, T>, window: Window, across: Range<usize>) -> Self {
        let sweep = slab.sweep;
        let planes = sweep.planes();
        let ring = sweep.problem.periodic(sweep.along);
        let levels = slab.scheme.steps.len();
        let span = Span::around(slab.planes.start, slab.planes.end, levels, planes, ring);
        let first = span.place(slab.planes.start);
        Self {
            slab,
            window,
            layout: Layout::new(sweep, &window.shape),
            across,
            span,
            at_top: !ring && span.start == 0,
            at_bottom: !ring && span.start as usize + span.length == planes,
            stored: first..first + slab.planes.len(),
        }
    }

    fn levels(&self) -> usize {
        self.slab.scheme.steps.len()
    }

    /// In block k, level l makes `block` planes from place k·block − l on.
    fn blocks(&self) -> usize {
        (self.stored.end + self.levels()).div_ceil(self.slab.memory.block)
    }

    /// All levels of block `k`.
    fn block<S: Simd>(&self, simd: S, k: usize, parts: &mut Parts<T>, out: &mut Rows<T>) {
        let memory = self.slab.memory;
        let block = memory.block;
        parts.load(simd, self, k);
        for l in 1..=self.levels() {
            self.fetch_ahead(k, l, out);
            let step = self.slab.scheme.steps[l - 1];
            let made = std::mem::take(&mut parts.hot[l % memory.hot]);
            if !self.step_whole(simd, k, l, step, parts, made) {
                self.step_planes(simd, k, l, step, parts, made);
                parts.keep(l - 1, k);
            }
            if l == self.levels() {
                for (i, plane) in made.chunks_exact(parts.size).enumerate() {
                    if let Some(place) = (k * block + i).checked_sub(l)
                        && self.stored.contains(&place)
                    {
                        self.store(simd, plane, place, out);
                    }
                }
            }
            parts.hot[l % memory.hot] = made;
        }
    }

    /// Places at which level `l` is right.
    fn valid(&self, l: usize) -> Range<usize> {
        let end = self.span.length;
        let start = if self.at_top { 0 } else { l };
        start..if self.at_bottom { end } else { end - l }
    }

    /// Level `l` of block `k` in one go, where all its planes are valid and alike; else `false`.
    fn step_whole<S: Simd>(
        &self,
        simd: S,
        k: usize,
        l: usize,
        step: Step<T>,
        parts: &mut Parts<T>,
        made: &mut [T],
    ) -> bool {
        let sweep = self.slab.sweep;
        let block = parts.block;
        let Some(first) = (k * block).checked_sub(l) else {
            return false;
        };
        let valid = self.valid(l);
        let inside = first > 0 && valid.start <= first && first + block < valid.end;
        if !inside || sweep.varied || sweep.has_more() || block < 4 || !block.is_multiple_of(2) {
            return false;
        }
        let size = parts.size;
        let input = &*parts.hot[(l - 1) % parts.hots];
        let [even, odd] = &mut parts.carried;
        let (old, new) = if k.is_multiple_of(2) || odd.is_empty() {
            (even, odd)
        } else {
            (odd, even)
        };
        let (before, carried) = old[..2 * l * size].split_at_mut(2 * (l - 1) * size);
        let older = match step {
            Step::Euler => Run {
                carried: &[],
                block: &[],
            },
            Step::Stage(_) => Run {
                carried: &before[2 * (l - 2) * size..],
                block: &*parts.hot[(l - 2) % parts.hots],
            },
        };
        let kept = new.get_mut(2 * (l - 1) * size..2 * l * size);
        sweep.step_block(
            simd,
            &self.window,
            (carried, kept),
            input,
            (step, older),
            made,
        );
        true
    }

    /// Level `l` of block `k`, as many planes as are valid, one or two at a time.
    fn step_planes<S: Simd>(
        &self,
        simd: S,
        k: usize,
        l: usize,
        step: Step<T>,
        parts: &Parts<T>,
        made: &mut [T],
    ) {
        let sweep = self.slab.sweep;
        let (block, size) = (parts.block, parts.size);
        let level = self.slab.scheme.first + l - 1;
        let valid = self.valid(l);
        let end = self.span.length;
        let mut i = l.saturating_sub(k * block);
        while i < block {
            let place = k * block + i - l;
            if !valid.contains(&place) {
                i += 1;
                continue;
            }
            let pair = !sweep.varied && i + 1 < block && valid.contains(&(place + 1));
            let count = if pair { 2 } else { 1 };
            let top = self.at_top && place == 0;
            let bottom = self.at_bottom && place + count == end;
            let plane = |i| parts.plane(l - 1, i, k);
            let older = |i| match step {
                Step::Euler => &[],
                Step::Stage(_) => parts.plane(l - 2, i, k),
            };
            let (here, last) = (plane(i + 1), plane(i + count));
            let up = if top { here } else { plane(i) };
            let down = if bottom { last } else { plane(i + count + 1) };
            let coefficients = parts.coefficients(&self.layout, place, top);
            let made = &mut made[i * size..][..count * size];
            let z = self.span.cell(place);
            if pair {
                let (first, second) = made.split_at_mut(size);
                let next = parts.coefficients(&self.layout, place + 1, false);
                sweep.step_pair(
                    simd,
                    &self.layout,
                    [z, self.span.cell(place + 1)],
                    &self.window,
                    [coefficients, next],
                    [up, here, last, down],
                    (step, [older(i), older(i + 1)], level),
                    [first, second],
                );
            } else {
                sweep.step(
                    simd,
                    &self.layout,
                    z,
                    &self.window,
                    coefficients,
                    Planes { up, here, down },
                    (step, older(i), level),
                    made,
                );
            }
            i += count;
        }
    }

    /// Asks for a share of what the next block loads and stores: memory works while levels do.
    fn fetch_ahead(&self, k: usize, l: usize, out: &mut Rows<T>) {
        let sweep = self.slab.sweep;
        let (block, levels, rows) = (
            self.slab.memory.block,
            self.levels(),
            self.window.shape.rows,
        );
        let columns = self.window.columns;
        let first = columns.cell(0);
        let width = columns.length.min(columns.cells - first);
        for row in block * rows * (l - 1) / levels..block * rows * l / levels {
            let place = (k + 1) * block + row / rows;
            if place < self.span.length {
                let y = self.window.rows.cell(row % rows);
                let start = sweep.row_start(self.span.cell(place), y);
                prefetch(&self.slab.grid[start + first..][..width]);
            }
        }
        if sweep.along == 1 {
            for i in block * (l - 1) / levels..block * l / levels {
                if let Some(place) = ((k + 1) * block + i).checked_sub(levels)
                    && self.stored.contains(&place)
                {
                    let row = out.row(self.span.cell(place) - self.slab.planes.start);
                    prefetch(&row[self.across.clone()]);
                }
            }
        }
    }

    fn store<S: Simd>(&self, simd: S, plane: &[T], place: usize, out: &mut Rows<T>) {
        let sweep = self.slab.sweep;
        let z = self.span.cell(place);
        let first = (z - self.slab.planes.start) * sweep.plane_rows();
        let whole = 0..sweep.problem.shape[2];
        let (rows, columns) = if sweep.along == 1 {
            (0..1, self.across.clone())
        } else {
            (self.across.clone(), whole)
        };
        for y in rows {
            let at = self.window.rows.place(y);
            let start = sweep.row_start(z, y);
            let row = out.row(first + y);
            let blend = self.slab.scheme.blend;
            let grid = self.slab.grid;
            sweep.store(
                simd,
                blend,
                plane,
                at,
                &self.window,
                columns.clone(),
                grid,
                start,
                row,
            );
        }
    }
}

/// A worker's memory, in parts.
struct Parts<'b, T> {
    hot: [&'b mut [T]; 3],
    /// The last two planes of each level's block before, one generation or two that take turns.
    carried: [&'b mut [T]; 2],
    slots: &'b mut [T],
    closed: &'b [T],
    block: usize,
    hots: usize,
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
        let carried = 2 * memory.levels * size;
        let closed = next(size);
        closed.fill(T::ZERO);
        Self {
            closed,
            hot: [next(block), next(block), next((memory.hot - 2) * block)],
            carried: [next(carried), next((memory.generations - 1) * carried)],
            slots: next(memory.ring * layout.slot()),
            block: memory.block,
            hots: memory.hot,
            ring: memory.ring,
            size,
        }
    }

    /// Loads level 0 of block `k`.
    fn load<S: Simd>(&mut self, simd: S, tile: &Tile<'_, '_, '_, '_, T>, k: usize) {
        let sweep = tile.slab.sweep;
        let (window, layout) = (&tile.window, &tile.layout);
        let slot = layout.slot();
        let first = k * self.block;
        for place in first..tile.span.length.min(first + self.block) {
            let z = tile.span.cell(place);
            let plane = &mut self.hot[0][(place - first) * self.size..][..self.size];
            sweep.load(tile.slab.grid, z, window, plane);
            if slot > 0 {
                let at = place % self.ring;
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

    /// Plane `i` of level `level` in block `k`: the two carried ones, then the block.
    #[inline(always)]
    fn plane(&self, level: usize, i: usize, k: usize) -> &[T] {
        let (from, at) = if i < 2 {
            let generation = if self.carried[1].is_empty() { 0 } else { k % 2 };
            (&*self.carried[generation], 2 * level + i)
        } else {
            (&*self.hot[level % self.hots], i - 2)
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

    /// Makes the last two planes of level `level`'s block `k` its carried ones.
    fn keep(&mut self, level: usize, k: usize) {
        let last = &self.hot[level % self.hots][(self.block - 2) * self.size..][..2 * self.size];
        let generation = if self.carried[1].is_empty() {
            0
        } else {
            1 - k % 2
        };
        self.carried[generation][2 * level * self.size..][..2 * self.size].copy_from_slice(last);
    }
}
