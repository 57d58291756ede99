//! Random arrays in layouts that callers have, and what it takes to call a kernel on each level.

use crate::random::Stream;
use crate::simd::{Level, Real, levels};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

/// Row lengths around every level's vector, in both float types.
pub(crate) const COLUMNS: &[usize] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 31, 32, 33, 34, 63, 64, 65, 100, 384,
];

/// How an array lies in memory; the last axis always has unit stride.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    Contiguous,
    /// Each row is followed by three elements that belong to nobody.
    Gaps,
    /// The leading axes stand in reverse order, and the first runs backwards.
    Reversed,
}

pub(crate) const LAYOUTS: [Layout; 3] = [Layout::Contiguous, Layout::Gaps, Layout::Reversed];

/// An array with its memory.
pub(crate) struct Sample<T> {
    memory: Vec<T>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

impl<T: Real> Sample<T> {
    /// `value(i)` for the `i`-th element in C order; memory between rows is NaN.
    pub(crate) fn new(
        shape: &[usize],
        layout: Layout,
        mut value: impl FnMut(usize) -> f64,
    ) -> Self {
        let mut strides = vec![0; shape.len()];
        let mut order: Vec<usize> = (0..shape.len()).rev().collect();
        if layout == Layout::Reversed && order.len() > 1 {
            order[1..].reverse();
        }
        let mut step = 1;
        for (place, &axis) in order.iter().enumerate() {
            strides[axis] = step as isize;
            step *= shape[axis].max(1);
            if place == 0 && layout != Layout::Contiguous {
                step += 3;
            }
        }
        let mut offset = 0;
        if layout == Layout::Reversed && shape.len() > 1 && shape[0] > 0 {
            offset = (shape[0] - 1) * strides[0] as usize;
            strides[0] = -strides[0];
        }
        let mut memory = vec![T::NAN; step];
        for flat in 0..shape.iter().product() {
            let mut rest = flat;
            let mut place = offset as isize;
            for (&length, &stride) in shape.iter().zip(&strides).rev() {
                place += (rest % length) as isize * stride;
                rest /= length;
            }
            memory[place as usize] = T::from_f64(value(flat));
        }
        Self {
            memory,
            offset,
            shape: shape.to_vec(),
            strides,
        }
    }

    /// Numbers of mean 0, most of them within ±4.
    pub(crate) fn random(shape: &[usize], layout: Layout, stream: u64) -> Self {
        let stream = Stream::new(7, stream);
        Self::new(shape, layout, |i| {
            let sum: f64 = (0..4)
                .map(|j| stream.uniform::<f64>(4 * i as u64 + j))
                .sum();
            4.0 * (sum - 2.0)
        })
    }

    pub(crate) fn view(&self) -> View<'_, T> {
        View::new(&self.memory, self.offset, &self.shape, &self.strides).expect("inside")
    }

    pub(crate) fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.memory, self.offset, &self.shape, &self.strides).expect("inside")
    }

    /// The elements in C order.
    pub(crate) fn elements(&self) -> Vec<T> {
        let view = self.view();
        let Some(&columns) = self.shape.last() else {
            return vec![view.element(&[])];
        };
        let rows: usize = self.shape[..self.shape.len() - 1].iter().product();
        (0..rows)
            .map(|row| view.line(row))
            .flat_map(|line| (0..columns).map(move |column| line.get(column)))
            .collect()
    }

    /// The elements in C order, in float64.
    pub(crate) fn truth(&self) -> Vec<f64> {
        self.elements().into_iter().map(T::to_f64).collect()
    }

    /// The elements' bits in C order, all NaN being one.
    pub(crate) fn bits(&self) -> Vec<u64> {
        self.truth()
            .iter()
            .map(|x| if x.is_nan() { 0 } else { x.to_bits() })
            .collect()
    }
}

/// Half a unit in the last place of 1.
pub(crate) fn unit<T: Real>() -> f64 {
    0.5_f64.powi(T::EXPONENT_SHIFT as i32 + 1)
}

/// What `kernel` writes into an array of `shape` and `layout`.
pub(crate) fn written<T: Real>(
    shape: &[usize],
    layout: Layout,
    level: Level,
    threads: usize,
    kernel: impl FnOnce(ViewMut<T>, &Context) -> Result<(), Error>,
) -> Sample<T> {
    let mut out = Sample::new(shape, layout, |_| 77.0);
    let context = Context {
        level,
        threads,
        cancelled: &|| false,
    };
    kernel(out.view_mut(), &context).expect("valid");
    out
}

/// Calls `check` with each level's name and the level.
pub(crate) fn on_every_level(mut check: impl FnMut(&'static str, Level)) {
    for (name, level) in levels() {
        check(name, level);
    }
}

/// Asserts that `bits` gives the same on all levels that fuse multiply and add, and on all others.
pub(crate) fn assert_bits_do_not_depend_on_the_width(bits: impl Fn(Level) -> Vec<u64>) {
    let mut seen: [Option<Vec<u64>>; 2] = [None, None];
    on_every_level(|name, level| {
        let fuses = !matches!(name, "sse4.2" | "baseline") || cfg!(target_arch = "aarch64");
        let bits = bits(level);
        let first = seen[usize::from(fuses)].get_or_insert_with(|| bits.clone());
        assert_eq!(*first, bits, "{name}");
    });
}
