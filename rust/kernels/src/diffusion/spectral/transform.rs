//! Lines into the eigenvectors of second differences between mirrors, by a complex FFT.
//!
//! ring:    Hartley's transform Σ x_i·(cos + sin)(2πik/n), of two lines as the real and imaginary
//!          part of one FFT, which symmetry then tells apart.
//! cosine:  Σ x_i·cos(πk(i + ½)/n) from an FFT of the even cells followed by the odd ones in
//!          reverse, two lines at once likewise.
//! sine:    the cosine transform of (−1)^i·x_i, whose mode k is the sine's mode n − 1 − k.
//! mixed:   Σ x_i·cos or sin(π(k + ½)(i + ½)/n) from an FFT of 2n, one line at a time.
//!
//! `rustfft` is built without its own vector code: on any machine and level a line has the same
//! bits.
//! Sources: Bracewell 1983; Makhoul 1980.

use std::f64::consts::PI;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::Transformable;
use crate::simd::Real;

/// What stands at the two ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The line is closed.
    Ring,
    /// Even mirrors.
    Cosine,
    /// Odd mirrors.
    Sine,
    /// An even mirror at the low end, an odd one at the high end.
    CosineToSine,
    /// The other way about.
    SineToCosine,
}

impl Kind {
    /// θ of the mode that is stored at place `mode` of `n`, in units of π/2n.
    pub(super) fn angle(self, mode: usize, n: usize) -> f64 {
        (match self {
            // sin² has this period, and the smaller angle the smaller rounding.
            Self::Ring => 4 * mode.min(n - mode),
            Self::Cosine => 2 * mode,
            Self::Sine => 2 * (n - mode),
            Self::CosineToSine | Self::SineToCosine => 2 * mode + 1,
        }) as f64
    }
}

/// A transform of lines of one length, and back.
pub(super) struct Transform<T> {
    kind: Kind,
    n: usize,
    forth: Arc<dyn Fft<T>>,
    back: Arc<dyn Fft<T>>,
    turns: Vec<Complex<T>>,
}

fn turn<T: Real>(angle: f64) -> Complex<T> {
    Complex {
        re: T::from_f64(angle.cos()),
        im: T::from_f64(angle.sin()),
    }
}

impl<T: Transformable> Transform<T> {
    pub(super) fn new(kind: Kind, n: usize) -> Self {
        let mixed = matches!(kind, Kind::CosineToSine | Kind::SineToCosine);
        let length = if mixed { 2 * n } else { n };
        let mut planner = FftPlanner::new();
        let step = -PI / (2 * n) as f64;
        let turns = match kind {
            Kind::Ring => Vec::new(),
            Kind::Cosine | Kind::Sine => (0..n).map(|k| turn(step * k as f64)).collect(),
            // Before the FFT, then after it.
            Kind::CosineToSine | Kind::SineToCosine => (0..n)
                .map(|i| turn(step * i as f64))
                .chain((0..n).map(|k| turn(step * (k as f64 + 0.5))))
                .collect(),
        };
        Self {
            kind,
            n,
            forth: planner.plan_fft_forward(length),
            back: planner.plan_fft_inverse(length),
            turns,
        }
    }

    /// Cells of a line.
    pub(super) fn length(&self) -> usize {
        self.n
    }

    /// Complex numbers that [`Self::pair`] works on.
    pub(super) fn work(&self) -> usize {
        let (forth, back) = (&self.forth, &self.back);
        let scratch = forth
            .get_inplace_scratch_len()
            .max(back.get_inplace_scratch_len());
        forth.len() + scratch
    }

    /// What there and back multiplies by, inverted.
    pub(super) fn scale(&self) -> f64 {
        match self.kind {
            Kind::Ring | Kind::Cosine | Kind::Sine => 1.0 / self.n as f64,
            Kind::CosineToSine | Kind::SineToCosine => 2.0 / self.n as f64,
        }
    }

    /// Transforms two lines in place, or back but for the scale.
    pub(super) fn pair(
        &self,
        first: &mut [T],
        second: &mut [T],
        back: bool,
        work: &mut [Complex<T>],
    ) {
        let (z, scratch) = work.split_at_mut(self.forth.len());
        match self.kind {
            Kind::Ring => self.ring(first, second, z, scratch),
            Kind::Cosine | Kind::Sine if back => self.cosine_back(first, second, z, scratch),
            Kind::Cosine | Kind::Sine => self.cosine(first, second, z, scratch),
            Kind::CosineToSine | Kind::SineToCosine => {
                self.mixed(first, z, scratch);
                self.mixed(second, z, scratch);
            }
        }
    }

    /// Its own way back.
    fn ring(
        &self,
        first: &mut [T],
        second: &mut [T],
        z: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        for (z, (&re, &im)) in z.iter_mut().zip(first.iter().zip(second.iter())) {
            *z = Complex { re, im };
        }
        self.forth.process_with_scratch(z, scratch);
        for k in 0..self.n {
            let (a, b) = apart(z, k);
            first[k] = a.re - a.im;
            second[k] = b.re - b.im;
        }
    }

    /// Where cell `i` goes: the even cells first, then the odd ones in reverse.
    fn place(&self, i: usize) -> usize {
        if i.is_multiple_of(2) {
            i / 2
        } else {
            self.n - 1 - i / 2
        }
    }

    /// The sign that a sine gives to cell `i`.
    fn sign(&self, i: usize) -> T {
        if self.kind == Kind::Sine && i % 2 == 1 {
            -T::ONE
        } else {
            T::ONE
        }
    }

    fn cosine(
        &self,
        first: &mut [T],
        second: &mut [T],
        z: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        for i in 0..self.n {
            let sign = self.sign(i);
            z[self.place(i)] = Complex {
                re: sign * first[i],
                im: sign * second[i],
            };
        }
        self.forth.process_with_scratch(z, scratch);
        for k in 0..self.n {
            let (a, b) = apart(z, k);
            let turn = self.turns[k];
            first[k] = turn.re * a.re - turn.im * a.im;
            second[k] = turn.re * b.re - turn.im * b.im;
        }
    }

    fn cosine_back(
        &self,
        first: &mut [T],
        second: &mut [T],
        z: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        for k in 0..self.n {
            let turn = self.turns[k].conj();
            let beyond = |line: &[T]| if k == 0 { T::ZERO } else { line[self.n - k] };
            // (a − i·a') + i·(b − i·b'), a' and b' the modes n − k.
            let both = Complex {
                re: first[k] + beyond(second),
                im: second[k] - beyond(first),
            };
            z[k] = turn * both;
        }
        self.back.process_with_scratch(z, scratch);
        for i in 0..self.n {
            let sign = self.sign(i);
            let value = z[self.place(i)];
            first[i] = sign * value.re;
            second[i] = sign * value.im;
        }
    }

    /// Its own way back.
    fn mixed(&self, line: &mut [T], z: &mut [Complex<T>], scratch: &mut [Complex<T>]) {
        let (before, after) = self.turns.split_at(self.n);
        z.fill(Complex {
            re: T::ZERO,
            im: T::ZERO,
        });
        for ((z, &u), turn) in z.iter_mut().zip(line.iter()).zip(before) {
            *z = Complex {
                re: turn.re * u,
                im: turn.im * u,
            };
        }
        self.forth.process_with_scratch(z, scratch);
        for ((u, &z), &turn) in line.iter_mut().zip(z.iter()).zip(after) {
            let value = turn * z;
            *u = if self.kind == Kind::CosineToSine {
                value.re
            } else {
                -value.im
            };
        }
    }
}

/// The transforms, at `k`, of the real and of the imaginary part of what `z` is the transform of.
fn apart<T: Transformable>(z: &[Complex<T>], k: usize) -> (Complex<T>, Complex<T>) {
    let (here, there) = (z[k], z[(z.len() - k) % z.len()]);
    let half = <T as Real>::from_f64(0.5);
    (
        Complex {
            re: (here.re + there.re) * half,
            im: (here.im - there.im) * half,
        },
        Complex {
            re: (here.im + there.im) * half,
            im: (there.re - here.re) * half,
        },
    )
}
