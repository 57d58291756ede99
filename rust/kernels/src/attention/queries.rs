//! The queries of a tile: which head and position each has, and which keys are left to it.

use std::ops::Range;

use super::problem::{Item, Problem, Sizes, Span};
use crate::simd::Real;

/// One query.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Head, counted over all items.
    pub(super) head: usize,
    /// Index among the head's queries.
    pub(super) query: usize,
    /// Position among the keys.
    pub(super) position: i64,
    /// The keys that causality, window and length leave.
    pub(super) span: Span,
}

impl Row {
    /// Whether the key is visible.
    pub(super) fn sees<T: Real>(&self, problem: &Problem<'_, T>, key: usize) -> bool {
        let at = |plane: crate::view::Plane<'_, T>| plane.get(self.query, key);
        (self.span.first..self.span.end).contains(&key)
            && problem
                .mask
                .is_none_or(|mask| mask.plane(self.head).get(self.query, key) != 0)
            && problem
                .bias
                .is_none_or(|bias| at(bias.plane(self.head)) != T::NEG_INFINITY)
    }

    /// Whether any key is visible.
    pub(super) fn sees_any<T: Real>(&self, problem: &Problem<'_, T>) -> bool {
        (self.span.first..self.span.end).any(|key| self.sees(problem, key))
    }
}

/// Some of the queries that share a key head: heads stand one after the other.
pub(super) struct Queries<'p, 'a, T> {
    problem: &'p Problem<'a, T>,
    item: Item,
    /// Head of the first of them, counted over all items.
    head: usize,
    /// Index of the first of them among its head's queries.
    first: usize,
    /// Queries of a head.
    queries: usize,
    count: usize,
}

impl<'p, 'a, T: Real> Queries<'p, 'a, T> {
    /// Queries `range` of key head `group`, counted over all items.
    pub(super) fn new(
        problem: &'p Problem<'a, T>,
        sizes: &Sizes,
        group: usize,
        range: Range<usize>,
    ) -> Self {
        Self {
            problem,
            item: problem.item(sizes, group / sizes.key_heads),
            head: group * sizes.group + range.start / sizes.queries,
            first: range.start % sizes.queries,
            queries: sizes.queries,
            count: range.len(),
        }
    }

    /// Heads after the first one's, and index among the head's queries, of query `i` of these.
    #[inline(always)]
    fn place(&self, i: usize) -> (usize, usize) {
        let at = self.first + i;
        // A tile seldom has more than one head, and two divisions cost as much as packing a row.
        if at < self.queries {
            (0, at)
        } else {
            (at / self.queries, at % self.queries)
        }
    }

    /// Number of queries.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Query `i` of these.
    pub(super) fn row(&self, i: usize) -> Row {
        let (head, query) = self.place(i);
        let position = (query as i64).saturating_add(self.item.offset);
        let span = self.problem.span(&self.item, position);
        Row {
            head: self.head + head,
            query,
            position,
            span,
        }
    }

    /// Queries `range` of these, each with its lane.
    pub(super) fn rows(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Row)> + Clone {
        range.enumerate().map(|(lane, i)| (lane, self.row(i)))
    }

    /// Keys that some, and that all, of the queries in `range` may see by causality, window and
    /// length; `None` if there are no such keys. Both ends of a span grow with the position, so
    /// that the lowest and the highest position tell.
    pub(super) fn spans(&self, range: Range<usize>) -> Option<(Span, Span)> {
        let (from, to) = (self.place(range.start), self.place(range.end - 1));
        let one_head = from.0 == to.0;
        let (low, high) = if one_head {
            (from.1, to.1)
        } else {
            (0, self.queries - 1)
        };
        let span = |query: usize| {
            self.problem
                .span(&self.item, (query as i64).saturating_add(self.item.offset))
        };
        let (low, high) = (span(low), span(high));
        let any = Span {
            first: low.first,
            end: high.end,
        };
        let all = Span {
            first: high.first,
            end: low.end,
        };
        (any.first < any.end).then_some((any, all))
    }
}
