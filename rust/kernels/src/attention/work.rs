//! A worker's scratch: one slice, cut into what a tile needs.

use super::problem::{Problem, Sizes};
use super::softmax::State;
use crate::simd::Real;

/// Most panels that a tile has.
pub(super) const MOST: usize = 32;

/// Sizes that the cuts go by.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    depth: usize,
    columns: usize,
    /// Lanes of a full panel.
    width: usize,
    /// Keys of a block.
    keys: usize,
    addend: bool,
    chunked: bool,
    /// Output rows in the strip.
    block: usize,
    panels: usize,
}

/// A worker's scratch, cut.
pub(super) struct Work<'b, T> {
    shared: Shared<'b, T>,
    panels: &'b mut [T],
    fresh: [bool; MOST],
    layout: Layout,
}

/// What panels use one after the other.
pub(super) struct Shared<'b, T> {
    /// Scores, then probabilities: [key][lane].
    pub(super) s: &'b mut [T],
    /// Mask and bias: [key][lane].
    pub(super) addend: &'b mut [T],
    /// A value a lane: a block's maximum, then α.
    pub(super) alpha: &'b mut [T],
    /// What sums are multiplied by to give the output.
    pub(super) factor: &'b mut [T],
    /// Slopes, or sinks.
    pub(super) slope: &'b mut [T],
    /// Positions less that of a block's first key.
    pub(super) base: &'b mut [T],
    /// First visible key less a block's first.
    pub(super) low: &'b mut [T],
    /// End of the visible keys less a block's first key.
    pub(super) high: &'b mut [T],
    /// Output rows on their way out.
    pub(super) strip: &'b mut [T],
}

/// A panel's own scratch.
pub(super) struct Panel<'b, T> {
    /// The queries, scaled: [d][lane].
    pub(super) query: &'b mut [T],
    /// State over the chunk of keys at hand.
    pub(super) chunk: State<'b, T>,
    /// Whether `chunk` saw nothing yet: what its sums then hold is not looked at.
    pub(super) fresh: &'b mut bool,
    /// State over the chunks before it, where there can be several.
    pub(super) total: Option<State<'b, T>>,
}

impl<'b, T: Real> Panel<'b, T> {
    /// Nothing seen yet.
    pub(super) fn clear(&mut self) {
        *self.fresh = true;
        if let Some(total) = &mut self.total {
            total.clear();
        }
    }

    /// Gives a chunk that saw nothing the state that says so.
    fn settle(&mut self) {
        if std::mem::take(self.fresh) {
            self.chunk.clear();
        }
    }

    /// The state over the chunk at hand.
    pub(super) fn chunk(&mut self) -> &mut State<'b, T> {
        self.settle();
        &mut self.chunk
    }

    /// Moves the chunk at hand into the total, where there is one.
    pub(super) fn close_chunk(&mut self, merge: impl FnOnce(&mut State<'b, T>, &State<'b, T>)) {
        if let Some(total) = &mut self.total {
            if !*self.fresh {
                merge(total, &self.chunk);
            }
            *self.fresh = true;
        }
    }

    /// The state over all keys, after the last chunk.
    pub(super) fn result(&mut self) -> &mut State<'b, T> {
        if self.total.is_none() {
            self.settle();
        }
        self.total.as_mut().unwrap_or(&mut self.chunk)
    }
}

impl Layout {
    /// For tiles of `rows` queries in panels of `width` lanes.
    pub(super) fn new<T>(
        problem: &Problem<'_, T>,
        sizes: &Sizes,
        rows: usize,
        width: usize,
        block: usize,
    ) -> Self {
        Self {
            depth: sizes.head_dim,
            columns: sizes.value_dim,
            width,
            keys: super::forward::KEYS.min(sizes.keys),
            addend: problem.mask.is_some() || problem.bias.is_some(),
            chunked: sizes.keys > super::forward::CHUNK,
            block,
            panels: rows.div_ceil(width),
        }
    }

    /// With one state a panel, whatever the number of keys.
    pub(super) fn unchunked(self) -> Self {
        Self {
            chunked: false,
            ..self
        }
    }

    fn state(&self) -> usize {
        (2 + self.columns) * self.width
    }

    fn panel(&self) -> usize {
        self.depth * self.width + self.state() * (1 + usize::from(self.chunked))
    }

    /// Elements of one worker's scratch; `None` if that overflows.
    pub(super) fn length(&self) -> Option<usize> {
        let widest = self
            .depth
            .checked_add(self.columns.checked_mul(2)?)?
            .checked_add(8)?;
        widest
            .checked_mul(self.width)?
            .checked_mul(self.panels + 1)?
            .checked_mul(4)?;
        let tiles = self.keys * self.width * (1 + usize::from(self.addend));
        let strip = self.block * self.columns.max(self.keys);
        Some(tiles + 6 * self.width + strip + self.panel() * self.panels)
    }

    /// Cuts a worker's scratch.
    pub(super) fn cut<T>(self, mut buffer: &mut [T]) -> Work<'_, T> {
        let rest = &mut buffer;
        let keys = self.keys * self.width;
        let shared = Shared {
            s: take(rest, keys),
            addend: take(rest, if self.addend { keys } else { 0 }),
            alpha: take(rest, self.width),
            factor: take(rest, self.width),
            slope: take(rest, self.width),
            base: take(rest, self.width),
            low: take(rest, self.width),
            high: take(rest, self.width),
            strip: take(rest, self.block * self.columns.max(self.keys)),
        };
        Work {
            shared,
            panels: take(rest, self.panel() * self.panels),
            fresh: [true; MOST],
            layout: self,
        }
    }
}

impl<T: Real> Work<'_, T> {
    /// Panel `index`, used with `width` lanes, and the rest of the scratch.
    pub(super) fn panel(&mut self, index: usize, width: usize) -> (Panel<'_, T>, Shared<'_, T>) {
        let layout = self.layout;
        let length = layout.panel();
        let rest = &mut &mut self.panels[index * length..(index + 1) * length];
        let query = take(rest, layout.depth * width);
        let mut state = || State {
            m: take(rest, width),
            l: take(rest, width),
            acc: take(rest, layout.columns * width),
        };
        let chunk = state();
        let total = layout.chunked.then(state);
        let shared = &mut self.shared;
        let shared = Shared {
            s: shared.s,
            addend: shared.addend,
            alpha: &mut shared.alpha[..width],
            factor: &mut shared.factor[..width],
            slope: &mut shared.slope[..width],
            base: &mut shared.base[..width],
            low: &mut shared.low[..width],
            high: &mut shared.high[..width],
            strip: shared.strip,
        };
        (
            Panel {
                query,
                chunk,
                fresh: &mut self.fresh[index],
                total,
            },
            shared,
        )
    }
}

fn take<'b, T>(rest: &mut &'b mut [T], length: usize) -> &'b mut [T] {
    let (front, back) = std::mem::take(rest).split_at_mut(length);
    *rest = back;
    front
}
