//! Shape and strides, and all arithmetic on them: everything about a view that needs no pointer.

use crate::Error;

/// Largest rank, NumPy's own.
pub const MAX_RANK: usize = 64;

/// Shape and strides (in elements), stored in place so that a view can be `Copy`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) rank: usize,
    pub(super) empty: bool,
    shape: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

const TOO_MANY_AXES: Error = Error::Layout {
    argument: "array",
    problem: "has more than 64 axes; reshape it",
};

/// Distance in elements from the first element to the lowest and the highest in memory.
pub(super) struct Span {
    below: usize,
    above: usize,
}

impl Layout {
    /// Checks that all sizes and offsets, in bytes too, fit an `isize`.
    pub(super) fn new<T>(shape: &[usize], strides: &[isize]) -> Result<(Self, Span), Error> {
        if shape.len() > MAX_RANK {
            return Err(TOO_MANY_AXES);
        }
        if shape.len() != strides.len() {
            return Err(Error::Layout {
                argument: "array",
                problem: "has a shape and strides of different ranks; give one stride an axis",
            });
        }
        let too_large = || Error::TooLarge { what: "array" };
        let largest = isize::MAX as usize / size_of::<T>().max(1);
        // Axes of length 0 are left out, so that no product of some axes can overflow either.
        shape
            .iter()
            .filter(|&&length| length != 0)
            .try_fold(1_usize, |product, &length| product.checked_mul(length))
            .filter(|&product| product <= largest)
            .ok_or_else(too_large)?;
        let empty = shape.contains(&0);
        let mut span = Span { below: 0, above: 0 };
        for (&length, &stride) in shape.iter().zip(strides) {
            if empty || length < 2 {
                continue;
            }
            let reach = stride
                .unsigned_abs()
                .checked_mul(length - 1)
                .ok_or_else(too_large)?;
            let side = if stride < 0 {
                &mut span.below
            } else {
                &mut span.above
            };
            *side = side.checked_add(reach).ok_or_else(too_large)?;
        }
        span.below
            .checked_add(span.above)
            .filter(|&extent| extent < largest)
            .ok_or_else(too_large)?;
        let mut layout = Self {
            rank: shape.len(),
            empty,
            shape: [0; MAX_RANK],
            strides: [0; MAX_RANK],
        };
        layout.shape[..shape.len()].copy_from_slice(shape);
        layout.strides[..strides.len()].copy_from_slice(strides);
        Ok((layout, span))
    }

    #[inline]
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape[..self.rank]
    }

    #[inline]
    pub(super) fn strides(&self) -> &[isize] {
        &self.strides[..self.rank]
    }

    pub(super) fn lead(&self, count: usize) -> usize {
        self.shape()[..count].iter().product()
    }

    /// Whether the elements stand side by side in C order.
    pub(super) fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.empty
            || self
                .shape()
                .iter()
                .zip(self.strides())
                .rev()
                .all(|(&length, &stride)| {
                    let fits = length == 1 || stride == step;
                    step *= length as isize;
                    fits
                })
    }

    /// Offset of the `flat`-th index, in C order, over the first `count` axes.
    pub(super) fn offset(&self, count: usize, flat: usize) -> isize {
        let mut rest = flat;
        let mut offset = 0;
        for axis in (0..count).rev() {
            let length = self.shape[axis];
            // An axis of length 1 may have any stride; its index is 0.
            if length > 1 {
                offset += (rest % length) as isize * self.strides[axis];
                rest /= length;
            }
        }
        offset
    }

    /// Length and stride of the axis that stands `from_last` axes before the end.
    pub(super) fn axis_from_last(&self, from_last: usize) -> (usize, isize) {
        let axis = self.rank - 1 - from_last;
        (self.shape[axis], self.strides[axis])
    }

    /// Whether two different indexes may fall on one element: seen from the shortest stride up,
    /// each must step over all that the shorter ones cover. (Some interleaved layouts that do not
    /// overlap are refused as well; NumPy's slicing makes none of those.)
    pub(super) fn may_overlap(&self) -> bool {
        if self.empty {
            return false;
        }
        let mut axes = [(0_usize, 0_usize); MAX_RANK];
        let mut count = 0;
        for (&length, &stride) in self.shape().iter().zip(self.strides()) {
            if length > 1 {
                axes[count] = (stride.unsigned_abs(), length);
                count += 1;
            }
        }
        axes[..count].sort_unstable();
        let mut covered = 1;
        for &(stride, length) in &axes[..count] {
            if stride < covered {
                return true;
            }
            covered += stride * (length - 1);
        }
        false
    }
}

/// Row-major strides. Overflow wraps: [`Layout::new`] refuses such shapes.
pub(super) fn contiguous_strides(shape: &[usize]) -> Result<[isize; MAX_RANK], Error> {
    if shape.len() > MAX_RANK {
        return Err(TOO_MANY_AXES);
    }
    let mut strides = [0; MAX_RANK];
    let mut step = 1_isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = step;
        step = step.wrapping_mul(shape[axis].max(1) as isize);
    }
    Ok(strides)
}

/// Checks that a layout whose first element is `data[offset]` stays within `length` elements.
pub(super) fn check_bounds(
    length: usize,
    offset: usize,
    layout: &Layout,
    span: &Span,
) -> Result<(), Error> {
    // Nothing can overflow: Layout::new limits the span, and a slice is no longer than isize::MAX.
    let inside = span.below <= offset && offset < length && span.above < length - offset;
    if inside || layout.empty {
        Ok(())
    } else {
        Err(Error::Layout {
            argument: "array",
            problem: "reaches beyond its memory; check offset, shape and strides",
        })
    }
}

/// The axes that make up the rows, neighbours merged where one stride goes on in the next: for a
/// C-ordered array a single axis.
pub(super) struct RowAxes {
    count: usize,
    lengths: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl RowAxes {
    pub(super) fn new(layout: &Layout) -> Self {
        let mut axes = Self {
            count: 0,
            lengths: [0; MAX_RANK],
            strides: [0; MAX_RANK],
        };
        if layout.empty {
            // Rows without columns stand nowhere: one axis that leads nowhere serves them.
            axes.push(layout.lead(layout.rank - 1), 0);
            return axes;
        }
        let lead = layout.rank - 1;
        for (&length, &stride) in layout.shape()[..lead].iter().zip(&layout.strides()[..lead]) {
            if length == 1 {
                continue;
            }
            match axes.count.checked_sub(1) {
                Some(last) if stride.checked_mul(length as isize) == Some(axes.strides[last]) => {
                    axes.lengths[last] *= length;
                    axes.strides[last] = stride;
                }
                _ => axes.push(length, stride),
            }
        }
        if axes.count == 0 {
            axes.push(1, 0);
        }
        axes
    }

    fn push(&mut self, length: usize, stride: isize) {
        self.lengths[self.count] = length;
        self.strides[self.count] = stride;
        self.count += 1;
    }

    /// Offset of a row, and how many rows from there on are one stride apart.
    pub(super) fn locate(&self, row: usize) -> (isize, usize) {
        let last = self.count - 1;
        let length = self.lengths[last];
        let in_run = row % length;
        let mut rest = row / length;
        let mut offset = in_run as isize * self.strides[last];
        for axis in (0..last).rev() {
            offset += (rest % self.lengths[axis]) as isize * self.strides[axis];
            rest /= self.lengths[axis];
        }
        (offset, length - in_run)
    }

    pub(super) fn row_stride(&self) -> isize {
        self.strides[self.count - 1]
    }
}
