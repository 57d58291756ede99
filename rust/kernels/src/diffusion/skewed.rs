//! Several steps in each pass over memory, grids of three axes with a constant D: tiles across a
//! slab that lean.
//!
//! As in [`super::blocking`], a slab's planes go through all levels in blocks of B, each level one
//! plane behind the one before. But planes are large, and a tile with a halo of T rows on either
//! side does too much twice where it is small enough for L2. So here a tile leans against the one
//! before: level l makes rows y₀ − l to y₁ − l, for which it needs the two rows of level l − 1
//! before its own, which the tile before left in `history`: nothing is done twice along axis 1.
//! On a ring of rows the first tile begins T rows early and the last ends T late.
//!
//! A plane's rows stand at y − (y₀ − l) + 2: two rows from the tile before, then the tile's own. So
//! level l − 1 has the row of the same place one row earlier. Tiles of about 16 rows: two hot blocks
//! of 4 planes and the two carried planes of each level lie in L2.

use std::ops::Range;

use fearless_simd::Simd;

use super::blocking::{Blocks, Scheme};
use super::plane::{self, Cut, PAD, Step};
use super::sweep::{Span, Sweep};
use crate::scratch::Scratch;
use crate::simd::{Real, prefetch};
use crate::threads::{self, Turn};
use crate::view::{Rows, ViewMut};
use crate::{Context, Error};

/// Whether a sweep can be done here.
pub(super) fn serves<T: Real>(sweep: &Sweep<T>) -> bool {
    sweep.along == 0 && sweep.plane_rows() > 1 && !sweep.varied && !sweep.has_more()
}

/// How large the parts of a worker's memory are, in elements.
struct Memory {
    levels: usize,
    block: usize,
    hot: usize,
    generations: usize,
    stride: usize,
    size: usize,
    /// Planes that a slab loads.
    planes: usize,
}

impl Memory {
    fn new<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize, stages: bool) -> Self {
        let stride = (sweep.problem.shape[2] + 2).next_multiple_of(PAD);
        let rows = sweep.plane_rows()
            + if sweep.problem.periodic(1) {
                2 * levels
            } else {
                0
            };
        // History, own rows, what the last tile makes more, a row of ghost cells.
        let rows = 2 + blocks.across.min(rows) + levels + 1;
        Self {
            levels,
            block: blocks.block,
            hot: if stages { 3 } else { 2 },
            generations: if stages { 2 } else { 1 },
            stride,
            size: PAD + rows * stride + PAD,
            planes: blocks.slab + 2 * levels,
        }
    }

    fn history(&self) -> usize {
        self.levels * self.planes * 2 * self.stride
    }

    fn elements(&self) -> usize {
        let planes = self.hot * self.block + 2 * self.generations * self.levels;
        planes * self.size + self.history()
    }
}

/// Elements of a worker's memory.
pub(super) fn elements<T: Real>(
    sweep: &Sweep<T>,
    blocks: &Blocks,
    levels: usize,
    stages: bool,
) -> usize {
    let blocks = widened(sweep, blocks, levels);
    Memory::new(sweep, &blocks, levels, stages).elements()
}

/// A tile leaves two rows of each level to the next, so it has no fewer.
fn widened<T: Real>(sweep: &Sweep<T>, blocks: &Blocks, levels: usize) -> Blocks {
    let fewest = if sweep.problem.periodic(1) {
        2 * levels + 2
    } else {
        levels + 2
    };
    Blocks {
        across: blocks.across.max(fewest),
        ..*blocks
    }
}

/// One pass: `to` is `from` after the steps of `scheme`.
pub(super) fn pass<S: Simd, T: Real>(
    simd: S,
    sweep: &Sweep<T>,
    blocks: &Blocks,
    (from, to): (&[T], &mut [T]),
    scheme: Scheme<T>,
    scratch: &Scratch<T>,
    context: &Context,
) -> Result<(), Error> {
    let [planes, rows, columns] = sweep.problem.shape;
    let levels = scheme.steps.len();
    let blocks = &widened(sweep, blocks, levels);
    let cells = planes * rows * columns;
    let slabs = planes.div_ceil(blocks.slab);
    let shape = [to.len() / columns, columns];
    let tiles = ViewMut::contiguous(to, &shape)?.split_rows(planes * rows, blocks.slab * rows)?;
    let memory = Memory::new(sweep, blocks, levels, scheme.blend.is_some());
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let first = turn.tile % slabs * blocks.slab;
        let mut slab = Slab {
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
        &mut self,
        simd: S,
        across: usize,
        buffer: &mut [T],
        out: &mut Rows<T>,
        turn: &Turn,
    ) {
        let rows = self.sweep.plane_rows() as isize;
        let ring = self.sweep.problem.periodic(1);
        let halo = if ring { self.memory.levels as isize } else { 0 };
        let (start, stop) = (-halo, rows + halo);
        let mut parts = Parts::new(buffer, self.memory);
        let mut first = start;
        while first < stop {
            let end = stop.min(first + across as isize);
            let tile = Tile {
                slab: self,
                first,
                end,
                is_first: first == start,
                is_last: end == stop,
                ring,
                places: Places::new(self),
            };
            for k in 0..tile.places.blocks(self.memory) {
                if turn.cancelled() {
                    return;
                }
                tile.block(simd, k, &mut parts, out);
            }
            first = end;
        }
    }
}

/// The planes that a slab loads, numbered from 0.
struct Places {
    span: Span,
    at_top: bool,
    at_bottom: bool,
    stored: Range<usize>,
}

impl Places {
    fn new<T: Real>(slab: &Slab<T>) -> Self {
        let planes = slab.sweep.planes();
        let ring = slab.sweep.problem.periodic(0);
        let (first, end) = (slab.planes.start, slab.planes.end);
        let span = Span::around(first, end, slab.memory.levels, planes, ring);
        let first = span.place(first);
        Self {
            span,
            at_top: !ring && span.start == 0,
            at_bottom: !ring && span.start as usize + span.length == planes,
            stored: first..first + slab.planes.len(),
        }
    }

    fn blocks(&self, memory: &Memory) -> usize {
        (self.stored.end + memory.levels).div_ceil(memory.block)
    }

    fn valid(&self, l: usize) -> Range<usize> {
        let end = self.span.length;
        let start = if self.at_top { 0 } else { l };
        start..if self.at_bottom { end } else { end - l }
    }
}

/// Rows `first..end` of a slab; on a ring they may lie outside of the grid.
struct Tile<'t, 's, 'p, 'a, T> {
    slab: &'t Slab<'s, 'p, 'a, T>,
    first: isize,
    end: isize,
    is_first: bool,
    is_last: bool,
    ring: bool,
    places: Places,
}

impl<T: Real> Tile<'_, '_, '_, '_, T> {
    /// Rows of level `l`.
    fn rows(&self, l: usize) -> Range<isize> {
        let l = l as isize;
        let inward = if self.ring { l } else { 0 };
        let start = if self.is_first {
            self.first + inward
        } else {
            self.first - l
        };
        let end = if self.is_last {
            self.end - inward
        } else {
            self.end - l
        };
        start..end
    }

    /// Where row `y` of level `l` stands in a plane.
    #[inline(always)]
    fn row_at(&self, l: usize, y: isize) -> usize {
        (y - self.first + l as isize + 2) as usize
    }

    /// The element where row `y` of level `l` begins.
    #[inline(always)]
    fn cell_at(&self, l: usize, y: isize) -> usize {
        self.row_at(l, y) * self.slab.memory.stride + PAD
    }

    /// All levels of block `k`.
    fn block<S: Simd>(&self, simd: S, k: usize, parts: &mut Parts<T>, out: &mut Rows<T>) {
        let memory = self.slab.memory;
        self.load(k, parts);
        for l in 1..=memory.levels {
            self.fetch_ahead(k, l);
            let made = std::mem::take(&mut parts.hot[l % memory.hot]);
            self.step(simd, k, l, parts, made);
            for i in 0..memory.block {
                if let Some(place) = (k * memory.block + i).checked_sub(l)
                    && self.places.valid(l).contains(&place)
                {
                    let plane = &mut made[i * memory.size..][..memory.size];
                    self.close(l, place, plane, parts);
                    if l == memory.levels && self.places.stored.contains(&place) {
                        self.store(simd, plane, place, out);
                    }
                }
            }
            parts.hot[l % memory.hot] = made;
        }
    }

    /// Level 0 of block `k`: its own rows, and the two before them.
    fn load(&self, k: usize, parts: &mut Parts<T>) {
        let memory = self.slab.memory;
        let [_, rows, columns] = self.slab.sweep.problem.shape;
        for i in 0..memory.block {
            let place = k * memory.block + i;
            if place >= self.places.span.length {
                return;
            }
            let z = self.places.span.cell(place);
            let plane = &mut parts.hot[0][i * memory.size..][..memory.size];
            let own = self.rows(0);
            let start = if self.is_first {
                own.start
            } else {
                own.start - 2
            };
            for y in start..own.end {
                let cell = self
                    .slab
                    .sweep
                    .row_start(z, y.rem_euclid(rows as isize) as usize);
                let to = self.cell_at(0, y);
                plane[to..to + columns].copy_from_slice(&self.slab.grid[cell..][..columns]);
            }
            self.close_rows(0, start..own.end, plane);
        }
    }

    /// Level `l` of block `k` from level l − 1.
    fn step<S: Simd>(&self, simd: S, k: usize, l: usize, parts: &mut Parts<T>, made: &mut [T]) {
        let memory = self.slab.memory;
        let (block, size) = (memory.block, memory.size);
        let valid = self.places.valid(l);
        let rows = self.rows(l);
        if rows.is_empty() {
            parts.keep(l - 1, k);
            return;
        }
        let first = self.cell_at(l, rows.start);
        let columns = self.slab.sweep.problem.shape[2];
        let count = (rows.end - rows.start - 1) as usize * memory.stride + columns;
        let step = self.slab.scheme.steps[l - 1];
        let scale = self.slab.sweep.turned_scale();
        let input = Cut::<T>::of(first - memory.stride, count, memory.stride);
        let before = Cut::of(first - 2 * memory.stride, count, memory.stride);
        let whole = (k * block)
            .checked_sub(l)
            .is_some_and(|place| place > 0 && valid.contains(&place))
            && k * block + block - l < valid.end;
        let mut i = l.saturating_sub(k * block);
        while i < block {
            let place = k * block + i - l;
            if !valid.contains(&place) {
                i += 1;
                continue;
            }
            let pair = i + 1 < block && valid.contains(&(place + 1));
            let planes = if pair { 2 } else { 1 };
            let to = &mut made[i * size..][..planes * size];
            // A block's last pair replaces what level l − 1 carried, which nobody needs any more.
            if whole && pair && i >= 2 && i + 2 == block {
                let hot = &*parts.hot[(l - 1) % memory.hot];
                let plane = |i: usize| &hot[(i - 2) * size..][..size];
                let around = [plane(i), plane(i + 1), plane(i + 2), plane(i + 3)];
                let older = match step {
                    Step::Euler => [around[0]; 2],
                    Step::Stage(_) => {
                        let hot = &*parts.hot[(l - 2) % memory.hot];
                        [i - 2, i - 1].map(|i| &hot[i * size..][..size])
                    }
                };
                let generation = if memory.generations == 1 {
                    0
                } else {
                    1 - k % 2
                };
                let kept = &mut parts.carried[generation][2 * (l - 1) * size..][..2 * size];
                let (second, down) = kept.split_at_mut(size);
                let (to_first, to_second) = to.split_at_mut(size);
                plane::pair_of(
                    simd,
                    scale,
                    around.map(|plane| input.with(plane)),
                    (step, older.map(|plane| before.with(plane))),
                    [&mut to_first[first..], &mut to_second[first..]],
                    Some([
                        &mut second[first - memory.stride..],
                        &mut down[first - memory.stride..],
                    ]),
                );
                self.copy_rest(l - 1, around[2], second);
                self.copy_rest(l - 1, around[3], down);
                return;
            }
            let plane = |i| parts.plane(l - 1, i, k, memory);
            let (here, last) = (plane(i + 1), plane(i + planes));
            let up = if self.places.at_top && place == 0 {
                here
            } else {
                plane(i)
            };
            let end = self.places.at_bottom && place + planes == self.places.span.length;
            let down = if end { last } else { plane(i + planes + 1) };
            let older = |i| match step {
                Step::Euler => here,
                Step::Stage(_) => parts.plane(l - 2, i, k, memory),
            };
            if pair {
                let (to_first, to_second) = to.split_at_mut(size);
                plane::pair_of(
                    simd,
                    scale,
                    [up, here, last, down].map(|plane| input.with(plane)),
                    (
                        step,
                        [older(i), older(i + 1)].map(|plane| before.with(plane)),
                    ),
                    [&mut to_first[first..], &mut to_second[first..]],
                    None,
                );
            } else {
                plane::single_of(
                    simd,
                    scale,
                    [up, here, down].map(|plane| input.with(plane)),
                    (step, before.with(older(i))),
                    &mut to[first..],
                );
            }
            i += planes;
        }
        parts.keep(l - 1, k);
    }

    /// Copies what [`Self::step`] of the next level does not of a plane of level `l`: the rows
    /// before and behind those that it makes, and ghost cells.
    fn copy_rest(&self, l: usize, plane: &[T], to: &mut [T]) {
        let made = self.rows(l + 1);
        let own = self.rows(l);
        let stride = self.slab.memory.stride;
        let start = if self.is_first {
            own.start - 1
        } else {
            own.start - 2
        };
        let (low, high) = (self.row_at(l, start), self.row_at(l, made.start));
        let end = self.row_at(l, own.end) + usize::from(self.is_last);
        for rows in [low..high, self.row_at(l, made.end)..end] {
            let cells = rows.start * stride..rows.end * stride + PAD;
            to[cells.clone()].copy_from_slice(&plane[cells]);
        }
        self.close_sides(l, made, to);
    }

    /// Completes plane `place` of level `l`, whose own rows have just been made: rows from the tile
    /// before, ghost cells; and leaves its last rows to the next tile.
    fn close(&self, l: usize, place: usize, plane: &mut [T], parts: &mut Parts<T>) {
        let memory = self.slab.memory;
        let own = self.rows(l);
        if l == memory.levels {
            return;
        }
        let rows = 2 * memory.stride;
        let history = &mut parts.history[(l * memory.planes + place) * rows..][..rows];
        let mut start = own.start;
        if !self.is_first {
            start -= 2;
            let to = self.row_at(l, start) * memory.stride + PAD;
            plane[to..to + rows].copy_from_slice(history);
        }
        if !self.is_last {
            let from = self.row_at(l, own.end - 2) * memory.stride + PAD;
            history.copy_from_slice(&plane[from..from + rows]);
        }
        self.close_rows(l, start..own.end, plane);
    }

    /// Ghost cells of rows `rows` of level `l`, and rows of them at the grid's ends.
    fn close_rows(&self, l: usize, rows: Range<isize>, plane: &mut [T]) {
        let (stride, columns) = (self.slab.memory.stride, self.slab.sweep.problem.shape[2]);
        self.close_sides(l, rows.clone(), plane);
        if rows.is_empty() {
            return;
        }
        if self.is_first {
            let from = self.cell_at(l, rows.start);
            plane.copy_within(from..from + columns, from - stride);
        }
        if self.is_last {
            let from = self.cell_at(l, rows.end - 1);
            plane.copy_within(from..from + columns, from + stride);
        }
    }

    fn close_sides(&self, l: usize, rows: Range<isize>, plane: &mut [T]) {
        let columns = self.slab.sweep.problem.shape[2];
        let ring = self.slab.sweep.problem.periodic(2);
        for y in rows {
            let from = self.cell_at(l, y);
            let (first, last) = (plane[from], plane[from + columns - 1]);
            let (west, east) = if ring { (last, first) } else { (first, last) };
            plane[from - 1] = west;
            plane[from + columns] = east;
        }
    }

    /// Asks for a share of what the next block loads.
    fn fetch_ahead(&self, k: usize, l: usize) {
        let memory = self.slab.memory;
        let rows = self.rows(0);
        let columns = self.slab.sweep.problem.shape[2];
        let each = (rows.end - rows.start) as usize;
        let all = memory.block * each;
        for row in all * (l - 1) / memory.levels..all * l / memory.levels {
            let place = (k + 1) * memory.block + row / each;
            if place < self.places.span.length {
                let y = rows.start + (row % each) as isize;
                let y = y.rem_euclid(self.slab.sweep.plane_rows() as isize) as usize;
                let start = self.slab.sweep.row_start(self.places.span.cell(place), y);
                prefetch(&self.slab.grid[start..][..columns]);
            }
        }
    }

    fn store<S: Simd>(&self, simd: S, plane: &[T], place: usize, out: &mut Rows<T>) {
        let [_, rows, columns] = self.slab.sweep.problem.shape;
        let z = self.places.span.cell(place);
        let levels = self.slab.memory.levels;
        let own = self.rows(levels);
        for y in own.start.max(0)..own.end.min(rows as isize) {
            let cells = &plane[self.cell_at(levels, y)..][..columns];
            let y = y as usize;
            let out = out.row((z - self.slab.planes.start) * rows + y);
            out.copy_from_slice(cells);
            if let Some(blend) = self.slab.scheme.blend {
                let start = self.slab.sweep.row_start(z, y);
                super::sweep::blend_rows(simd, blend, &self.slab.grid[start..][..columns], out);
            }
        }
    }
}

/// A worker's memory, in parts.
struct Parts<'b, T> {
    hot: [&'b mut [T]; 3],
    /// The last two planes of each level's block before, one generation or two that take turns.
    carried: [&'b mut [T]; 2],
    /// The last two rows of the tile before, for each level and plane.
    history: &'b mut [T],
    block: usize,
    size: usize,
}

impl<'b, T: Real> Parts<'b, T> {
    fn new(buffer: &'b mut [T], memory: &Memory) -> Self {
        let mut rest = buffer;
        let mut next = |length: usize| {
            let (part, left) = std::mem::take(&mut rest).split_at_mut(length);
            rest = left;
            part
        };
        let block = memory.block * memory.size;
        let carried = 2 * memory.levels * memory.size;
        Self {
            hot: [next(block), next(block), next((memory.hot - 2) * block)],
            carried: [next(carried), next((memory.generations - 1) * carried)],
            history: next(memory.history()),
            block: memory.block,
            size: memory.size,
        }
    }

    /// Plane `i` of level `level` in block `k`: the two carried ones, then the block.
    #[inline(always)]
    fn plane(&self, level: usize, i: usize, k: usize, memory: &Memory) -> &[T] {
        let (from, at) = if i < 2 {
            (&*self.carried[k % memory.generations], 2 * level + i)
        } else {
            (&*self.hot[level % memory.hot], i - 2)
        };
        &from[at * self.size..][..self.size]
    }

    /// Makes the last two planes of level `level`'s block `k` its carried ones.
    fn keep(&mut self, level: usize, k: usize) {
        let hots = if self.carried[1].is_empty() { 2 } else { 3 };
        let last = &self.hot[level % hots][(self.block - 2) * self.size..][..2 * self.size];
        let generation = if hots == 2 { 0 } else { 1 - k % 2 };
        self.carried[generation][2 * level * self.size..][..2 * self.size].copy_from_slice(last);
    }
}
