//! One attention problem: its arrays and options, checked once against each other.

use crate::error::Error;
use crate::simd::Real;
use crate::view::View;

/// Arrays and options of one call.
///
/// All arrays have the same lead axes (stride 0 where they were broadcast). Query, key and value
/// are `(lead…, heads, length, head_dim)` with a unit last stride.
pub struct Problem<'a, T> {
    /// (lead…, heads, queries, head_dim).
    pub query: View<'a, T>,
    /// (lead…, key heads, keys, head_dim).
    pub key: View<'a, T>,
    /// (lead…, key heads, keys, value head_dim); only [`super::weights`] does without.
    pub value: Option<View<'a, T>>,
    /// Key j is hidden from a query at p < j.
    pub causal: bool,
    /// Key j is hidden from a query at p > j + window_left.
    pub window_left: Option<usize>,
    /// Key j is hidden from a query at p < j − window_right.
    pub window_right: Option<usize>,
    /// (lead…, heads, queries, keys), any strides: 0 hides a key.
    pub mask: Option<View<'a, u8>>,
    /// (lead…, heads, queries, keys), any strides: added to the score; −∞ hides a key.
    pub bias: Option<View<'a, T>>,
    /// (lead…, heads): −slope·|p − j| is added to the score.
    pub alibi_slopes: Option<View<'a, T>>,
    /// (lead…, heads): a logit that joins the denominator.
    pub sinks: Option<View<'a, T>>,
    /// Factor of q·k.
    pub scale: T,
    /// c of c·tanh(scale·q·k / c).
    pub softcap: Option<T>,
    /// (lead…): keys from here on are hidden. All are shown where there is none.
    pub key_lengths: Option<View<'a, i64>>,
    /// (lead…): o of p = i + o; key length − queries where there is none.
    pub query_offset: Option<View<'a, i64>>,
}

/// The sizes of a problem, once they are known to go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) items: usize,
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    /// Query heads that share one key head.
    pub(super) group: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) head_dim: usize,
    pub(super) value_dim: usize,
}

/// What differs between the items of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Keys from here on are hidden.
    pub(super) keys: usize,
    /// Position of query 0.
    pub(super) offset: i64,
}

/// Keys `first..end` that causality, window and length leave to one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) end: usize,
}

impl<T: Real> Problem<'_, T> {
    /// Whether scores are what the products of queries and keys are, and nothing but causality,
    /// window and length hides a key.
    pub(super) fn is_plain(&self) -> bool {
        self.mask.is_none()
            && self.bias.is_none()
            && self.alibi_slopes.is_none()
            && self.softcap.is_none()
    }

    /// Checks every shape against every other.
    pub(super) fn sizes(&self) -> Result<Sizes, Error> {
        let rank = self.query.rank();
        if rank < 3 {
            return Err(shape(
                "query",
                self.query.shape(),
                "at least (heads, length, head_dim)",
            ));
        }
        let lead = &self.query.shape()[..rank - 3];
        let axes = |view: &View<'_, T>, argument| match view.shape() {
            [outer @ .., heads, length, dim] if outer == lead => Ok((*heads, *length, *dim)),
            given => Err(shape(argument, given, &format!("{lead:?} and three axes"))),
        };
        let (heads, queries, head_dim) = axes(&self.query, "query")?;
        let (key_heads, keys, key_dim) = axes(&self.key, "key")?;
        if key_dim != head_dim {
            return Err(shape("key", self.key.shape(), "the head_dim of query"));
        }
        if heads != 0 && (key_heads == 0 || heads % key_heads != 0) {
            return Err(shape("key", self.key.shape(), "heads that divide query's"));
        }
        let mut value_dim = 0;
        if let Some(value) = &self.value {
            let (value_heads, value_keys, dim) = axes(value, "value")?;
            if (value_heads, value_keys) != (key_heads, keys) {
                return Err(shape("value", value.shape(), "the heads and length of key"));
            }
            value_dim = dim;
        }
        let with = |tail: &[usize]| [lead, tail].concat();
        let plane = with(&[heads, queries, keys]);
        let expect = |argument, given: &[usize], wanted: &[usize]| {
            if given == wanted {
                Ok(())
            } else {
                Err(shape(argument, given, &format!("{wanted:?}")))
            }
        };
        if let Some(mask) = &self.mask {
            expect("mask", mask.shape(), &plane)?;
        }
        if let Some(bias) = &self.bias {
            expect("bias", bias.shape(), &plane)?;
        }
        for (argument, view) in [("alibi_slopes", &self.alibi_slopes), ("sinks", &self.sinks)] {
            if let Some(view) = view {
                expect(argument, view.shape(), &with(&[heads]))?;
            }
        }
        for (argument, view) in [
            ("key_lengths", &self.key_lengths),
            ("query_offset", &self.query_offset),
        ] {
            if let Some(view) = view {
                expect(argument, view.shape(), lead)?;
            }
        }
        let items = lead
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis));
        let sizes = Sizes {
            items: items.ok_or(Error::TooLarge {
                what: "the product of the leading axes",
            })?,
            heads,
            key_heads,
            group: heads.checked_div(key_heads).unwrap_or(0),
            queries,
            keys,
            head_dim,
            value_dim,
        };
        self.check_lengths(&sizes)?;
        Ok(sizes)
    }

    fn check_lengths(&self, sizes: &Sizes) -> Result<(), Error> {
        let Some(lengths) = &self.key_lengths else {
            return Ok(());
        };
        for item in 0..sizes.items {
            let length = self.of_item(lengths, item);
            if usize::try_from(length).map_or(true, |length| length > sizes.keys) {
                return Err(Error::Value {
                    argument: "key_lengths",
                    given: length.to_string(),
                    allowed: "between 0 and the length of key",
                });
            }
        }
        Ok(())
    }

    /// Key length and position of the first query of one item.
    pub(super) fn item(&self, sizes: &Sizes, item: usize) -> Item {
        let keys = match &self.key_lengths {
            Some(view) => self.of_item(view, item).clamp(0, sizes.keys as i64) as usize,
            None => sizes.keys,
        };
        let offset = match &self.query_offset {
            Some(view) => self.of_item(view, item),
            None => keys as i64 - sizes.queries as i64,
        };
        Item { keys, offset }
    }

    /// The element of an array over the lead axes.
    fn of_item(&self, view: &View<'_, i64>, item: usize) -> i64 {
        let mut index = [0; crate::view::MAX_RANK];
        let mut rest = item;
        for (axis, length) in view.shape().iter().enumerate().rev() {
            index[axis] = rest % length;
            rest /= length;
        }
        view.element(&index[..view.rank()])
    }

    /// The keys that causality, window and length leave to a query.
    pub(super) fn span(&self, item: &Item, position: i64) -> Span {
        let reach = |right: usize| position.saturating_add(clamp(right)).saturating_add(1);
        let mut end = item.keys as i64;
        if self.causal {
            end = end.min(reach(0));
        }
        if let Some(right) = self.window_right {
            end = end.min(reach(right));
        }
        let first = self
            .window_left
            .map_or(0, |left| position.saturating_sub(clamp(left)));
        let first = first.clamp(0, item.keys as i64);
        Span {
            first: first as usize,
            end: end.max(first) as usize,
        }
    }
}

fn clamp(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn shape(argument: &'static str, given: &[usize], allowed: &str) -> Error {
    Error::Shape {
        argument,
        given: given.to_vec(),
        allowed: allowed.to_owned(),
    }
}
