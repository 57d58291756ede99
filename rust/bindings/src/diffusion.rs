//! `numfuse.diffuse` and its relatives. The problem comes as Python's own, a
//! `numfuse._diffusion_problem.Problem`, and is read by attribute.

#![allow(clippy::too_many_arguments)] // Python passes every option by position.

use numfuse_kernels::diffusion::{
    self as kernels, Advection, Blocking, Conductance, Diffusivity, Face, Mean, Problem, Side, Term,
};
use numfuse_kernels::simd::Real;
use numfuse_kernels::{Context, Error};
use numpy::PyUntypedArrayMethods;
use pyo3::intern;
use pyo3::prelude::*;

use crate::arrays::{Array, Element, Lent, by_float, exact};
use crate::enter::enter;
use crate::errors::Outcome;

/// Python's problem, its numbers read and its arrays held.
struct Given<'py> {
    shape: Vec<usize>,
    spacing: Vec<f64>,
    diffusivity: Numbers<'py>,
    mean: Mean,
    sides: Vec<[GivenSide<'py>; 2]>,
    walls: Option<Array<'py>>,
    held: Option<Array<'py>>,
    decay: Option<Numbers<'py>>,
    source: Option<Numbers<'py>>,
    velocity: Option<Array<'py>>,
    advection: Advection,
    order: usize,
}

/// One number, one for each axis, or one for each cell.
enum Numbers<'py> {
    Number(f64),
    EachAxis(Vec<f64>),
    PerPoint(Array<'py>),
}

struct GivenSide<'py> {
    kind: String,
    value: Option<Array<'py>>,
    a: f64,
    b: f64,
}

impl<'py> Given<'py> {
    fn read(problem: &Bound<'py, PyAny>) -> Outcome<Self> {
        let py = problem.py();
        let array = |name| -> Outcome<Option<Array<'py>>> {
            let value = problem.getattr(name)?;
            if value.is_none() {
                return Ok(None);
            }
            required(&value).map(Some)
        };
        let numbers = |name| -> Outcome<Option<Numbers<'py>>> {
            let value = problem.getattr(name)?;
            Ok(if value.is_none() {
                None
            } else if let Some(array) = exact(&value) {
                Some(Numbers::PerPoint(array.clone()))
            } else if let Ok(number) = value.extract() {
                Some(Numbers::Number(number))
            } else {
                Some(Numbers::EachAxis(value.extract()?))
            })
        };
        let mean: String = problem.getattr(intern!(py, "mean"))?.extract()?;
        let advection: String = problem.getattr(intern!(py, "advection"))?.extract()?;
        let mut sides = Vec::with_capacity(3);
        for both in problem.getattr(intern!(py, "sides"))?.try_iter()? {
            let both = both?;
            sides.push([
                GivenSide::read(&both.get_item(0)?)?,
                GivenSide::read(&both.get_item(1)?)?,
            ]);
        }
        Ok(Self {
            shape: problem.getattr(intern!(py, "shape"))?.extract()?,
            spacing: problem.getattr(intern!(py, "spacing"))?.extract()?,
            diffusivity: numbers(intern!(py, "diffusivity"))?.unwrap_or(Numbers::Number(0.0)),
            mean: match mean.as_str() {
                "harmonic" => Mean::Harmonic,
                "arithmetic" => Mean::Arithmetic,
                _ => return Err(unknown("mean", mean, "harmonic or arithmetic").into()),
            },
            sides,
            walls: array(intern!(py, "walls"))?,
            held: array(intern!(py, "held"))?,
            decay: numbers(intern!(py, "decay"))?,
            source: numbers(intern!(py, "source"))?,
            velocity: array(intern!(py, "velocity"))?,
            advection: match advection.as_str() {
                "upwind" => Advection::Upwind,
                "limited" => Advection::Limited,
                _ => return Err(unknown("advection", advection, "upwind or limited").into()),
            },
            order: problem.getattr(intern!(py, "order"))?.extract()?,
        })
    }

    /// Number of axes; the kernels' problem has three, the absent ones first.
    fn axes(&self) -> Result<usize, Error> {
        let axes = self.shape.len();
        if !(1..=3).contains(&axes) || self.spacing.len() != axes || self.sides.len() != axes {
            let allowed = "1 to 3, with a spacing and two sides for each";
            return Err(Error::Value {
                argument: "axes",
                given: axes.to_string(),
                allowed,
            });
        }
        Ok(axes)
    }

    fn problem<T: Real + Element>(&self, lent: &mut Lent) -> Result<Problem<'_, T>, Error> {
        let axes = self.axes()?;
        let absent = 3 - axes;
        let mut problem = Problem {
            shape: [1; 3],
            spacing: [1.0; 3],
            diffusivity: Diffusivity::Constant([0.0; 3]),
            mean: self.mean,
            sides: [[Side::Insulated; 2]; 3],
            walls: optional("walls", lent, self.walls.as_ref())?,
            held: optional("held", lent, self.held.as_ref())?,
            decay: term("decay", lent, self.decay.as_ref())?,
            source: term("source", lent, self.source.as_ref())?,
            velocity: None,
            advection: self.advection,
            order: self.order,
        };
        problem.shape[absent..].copy_from_slice(&self.shape);
        problem.spacing[absent..].copy_from_slice(&self.spacing);
        problem.diffusivity = match &self.diffusivity {
            Numbers::PerPoint(array) => Diffusivity::PerPoint(slice("diffusivity", lent, array)?),
            Numbers::EachAxis(each) if each.len() == axes => {
                let mut all = [0.0; 3];
                all[absent..].copy_from_slice(each);
                Diffusivity::Constant(all)
            }
            Numbers::EachAxis(each) => {
                let given = format!("{} numbers", each.len());
                return Err(unknown("diffusivity", given, "one number for each axis"));
            }
            Numbers::Number(one) => Diffusivity::Constant([*one; 3]),
        };
        for (axis, both) in self.sides.iter().enumerate() {
            for (end, side) in both.iter().enumerate() {
                problem.sides[absent + axis][end] = side.side(lent, axes)?;
            }
        }
        if let Some(array) = &self.velocity {
            let all: &[T] = slice("velocity", lent, array)?;
            let cells = problem.cells()?;
            if cells.checked_mul(axes) != Some(all.len()) {
                return Err(Error::Shape {
                    argument: "velocity",
                    given: array.shape().to_vec(),
                    allowed: format!("{axes} times the grid's {cells} cells"),
                });
            }
            let mut each: [&[T]; 3] = [&[]; 3];
            for (axis, part) in all.chunks_exact(cells.max(1)).enumerate() {
                each[absent + axis] = part;
            }
            problem.velocity = Some(each);
        }
        Ok(problem)
    }
}

impl<'py> GivenSide<'py> {
    fn read(side: &Bound<'py, PyAny>) -> Outcome<Self> {
        let py = side.py();
        let value = side.getattr(intern!(py, "value"))?;
        Ok(Self {
            kind: side.getattr(intern!(py, "kind"))?.extract()?,
            value: if value.is_none() {
                None
            } else {
                Some(required(&value)?)
            },
            a: side.getattr(intern!(py, "a"))?.extract()?,
            b: side.getattr(intern!(py, "b"))?.extract()?,
        })
    }

    /// The kernels' side of a grid of `axes` axes. A value with as many axes as the grid has, one
    /// more than a face, has one entry along the first for each step.
    fn side<T: Real + Element>(&self, lent: &mut Lent, axes: usize) -> Result<Side<'_, T>, Error> {
        let face = match &self.value {
            Some(array) => Some(Face {
                values: slice("boundary", lent, array)?,
                levels: if array.ndim() == axes {
                    array.shape()[0]
                } else {
                    1
                },
            }),
            None => None,
        };
        match (self.kind.as_str(), face) {
            ("periodic", None) => Ok(Side::Periodic),
            ("insulated", None) => Ok(Side::Insulated),
            ("value", Some(face)) => Ok(Side::Value(face)),
            ("flux", Some(face)) => Ok(Side::Flux(face)),
            ("robin", Some(c)) => Ok(Side::Robin {
                a: self.a,
                b: self.b,
                c,
            }),
            _ => Err(unknown(
                "boundary",
                self.kind.clone(),
                "periodic or insulated without value, or value, flux or robin with one",
            )),
        }
    }
}

fn required<'py>(value: &Bound<'py, PyAny>) -> Outcome<Array<'py>> {
    exact(value).cloned().ok_or_else(|| {
        Error::Layout {
            argument: "problem",
            problem: "has something else where an array is expected; pass numpy.ndarray",
        }
        .into()
    })
}

fn unknown(argument: &'static str, given: String, allowed: &'static str) -> Error {
    Error::Value {
        argument,
        given,
        allowed,
    }
}

fn term<'a, T: Real + Element>(
    argument: &'static str,
    lent: &mut Lent,
    numbers: Option<&'a Numbers<'_>>,
) -> Result<Option<Term<'a, T>>, Error> {
    Ok(match numbers {
        None => None,
        Some(Numbers::Number(one)) => Some(Term::Number(*one)),
        Some(Numbers::PerPoint(array)) if array.ndim() == 0 => {
            let one: &[T] = slice(argument, lent, array)?;
            one.first().map(|one| Term::Number(one.to_f64()))
        }
        Some(Numbers::PerPoint(array)) => Some(Term::PerPoint(slice(argument, lent, array)?)),
        Some(Numbers::EachAxis(each)) => {
            let given = format!("{} numbers", each.len());
            return Err(unknown(argument, given, "a number or one for each cell"));
        }
    })
}

fn slice<'a, T: Element>(
    argument: &'static str,
    lent: &mut Lent,
    array: &'a Array<'_>,
) -> Result<&'a [T], Error> {
    lent.input(argument, array)?
        .as_slice()
        .ok_or_else(|| scattered(argument))
}

fn optional<'a>(
    argument: &'static str,
    lent: &mut Lent,
    array: Option<&'a Array<'_>>,
) -> Result<Option<&'a [u8]>, Error> {
    array.map(|array| slice(argument, lent, array)).transpose()
}

fn slice_mut<'a, T: Element>(
    argument: &'static str,
    lent: &mut Lent,
    array: &'a Array<'_>,
) -> Result<&'a mut [T], Error> {
    lent.output(argument, array)?
        .into_slice()
        .ok_or_else(|| scattered(argument))
}

fn scattered(argument: &'static str) -> Error {
    Error::Layout {
        argument,
        problem: "is not in C order without gaps; pass a copy",
    }
}

fn blocking(levels: usize) -> Blocking {
    match levels {
        0 => Blocking::Auto,
        1 => Blocking::Plain,
        levels => Blocking::Levels(levels),
    }
}

/// Enters a kernel with the problem, `field` and `out` in the type of `field`.
macro_rules! enter_with {
    ($py:ident, $given:ident, $field:ident, $out:ident, [$($aside:ident)?], $threads:ident,
     |$problem:ident, $context:ident| $call:expr) => {{
        let given = Given::read($given)?;
        by_float!($field, T => {
            let mut lent = Lent::default();
            let $problem = &given.problem::<T>(&mut lent)?;
            let $field = slice::<T>("field", &mut lent, $field)?;
            let $out = slice_mut::<T>("out", &mut lent, $out)?;
            $(let $aside = slice_mut::<T>("aside", &mut lent, $aside)?;)?
            enter($py, $threads, |$context: &Context<'_>| $call)
        })
    }};
}

/// Writes `field` after `steps` steps of Euler's method to `out`; `aside` is an array of the same size
/// for what is between.
#[pyfunction]
#[pyo3(signature = (problem, field, out, aside, dt, steps, levels, threads, /))]
pub(crate) fn diffusion_explicit(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    aside: &Array<'_>,
    dt: f64,
    steps: usize,
    levels: usize,
    threads: usize,
) -> Outcome {
    enter_with!(
        py,
        problem,
        field,
        out,
        [aside],
        threads,
        |problem, context| {
            let (aside, blocking) = (Some(aside), blocking(levels));
            kernels::explicit(problem, field, out, aside, dt, steps, blocking, context)
        }
    )
}

/// Writes `field` after `steps` steps of RKL2 to `out`; `aside` is an array of the same size for what
/// is between.
#[pyfunction]
#[pyo3(signature = (problem, field, out, aside, dt, steps, stages, levels, threads, /))]
pub(crate) fn diffusion_rkl2(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    aside: &Array<'_>,
    dt: f64,
    steps: usize,
    stages: usize,
    levels: usize,
    threads: usize,
) -> Outcome {
    enter_with!(
        py,
        problem,
        field,
        out,
        [aside],
        threads,
        |problem, context| {
            let (aside, blocking) = (Some(aside), blocking(levels));
            kernels::rkl2(
                problem, field, out, aside, dt, steps, stages, blocking, context,
            )
        }
    )
}

/// Writes `field` after a step of RKL1 to `out`.
#[pyfunction]
#[pyo3(signature = (problem, field, out, dt, stages, levels, threads, /))]
pub(crate) fn diffusion_rkl1(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    dt: f64,
    stages: usize,
    levels: usize,
    threads: usize,
) -> Outcome {
    enter_with!(py, problem, field, out, [], threads, |problem, context| {
        let blocking = blocking(levels);
        kernels::rkl1(problem, field, out, dt, stages, blocking, context)
    })
}

/// Writes `field` after implicit steps of the given lengths, one axis after the other, to `out`.
#[pyfunction]
#[pyo3(signature = (problem, field, out, steps, threads, /))]
pub(crate) fn diffusion_adi(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    steps: Vec<f64>,
    threads: usize,
) -> Outcome {
    let axes = problem.getattr(intern!(py, "shape"))?.len()?;
    enter_with!(py, problem, field, out, [], threads, |problem, context| {
        kernels::adi(problem, axes, field, out, &steps, context)
    })
}

/// Writes `field` after `time`, by the eigenvectors of its stencil, to `out`.
#[pyfunction]
#[pyo3(signature = (problem, field, out, time, threads, /))]
pub(crate) fn diffusion_spectral(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    time: f64,
    threads: usize,
) -> Outcome {
    enter_with!(py, problem, field, out, [], threads, |problem, context| {
        kernels::spectral(problem, field, out, time, context)
    })
}

/// Writes what `field` changes by per unit of time to `out`.
#[pyfunction]
#[pyo3(signature = (problem, field, out, threads, /))]
pub(crate) fn diffusion_operator(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    field: &Array<'_>,
    out: &Array<'_>,
    threads: usize,
) -> Outcome {
    enter_with!(py, problem, field, out, [], threads, |problem, context| {
        kernels::operator(problem, field, out, context)
    })
}

/// A bound of the largest rate at which a mode of the problem decays.
#[pyfunction]
#[pyo3(signature = (problem, /))]
pub(crate) fn diffusion_largest_rate(py: Python<'_>, problem: &Bound<'_, PyAny>) -> Outcome<f64> {
    number(
        py,
        problem,
        kernels::largest_rate::<f32>,
        kernels::largest_rate::<f64>,
    )
}

/// The largest explicit step in which no cell's weight of first order is negative.
#[pyfunction]
#[pyo3(signature = (problem, /))]
pub(crate) fn diffusion_step_limit(py: Python<'_>, problem: &Bound<'_, PyAny>) -> Outcome<f64> {
    number(
        py,
        problem,
        kernels::no_negative_weight::<f32>,
        kernels::no_negative_weight::<f64>,
    )
}

/// What one of two functions, for each float type, says of a problem.
fn number(
    py: Python<'_>,
    problem: &Bound<'_, PyAny>,
    single: fn(&Problem<'_, f32>) -> Result<f64, Error>,
    double: fn(&Problem<'_, f64>) -> Result<f64, Error>,
) -> Outcome<f64> {
    let given = Given::read(problem)?;
    let dtype = problem.getattr(intern!(py, "dtype"))?;
    let bytes: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    let mut lent = Lent::default();
    let mut result = 0.0;
    if bytes == 4 {
        let problem = &given.problem::<f32>(&mut lent)?;
        enter(py, 1, |_| single(problem).map(|found| result = found))?;
    } else {
        let problem = &given.problem::<f64>(&mut lent)?;
        enter(py, 1, |_| double(problem).map(|found| result = found))?;
    }
    Ok(result)
}

/// Writes `image`, (channels, *space), after `steps` steps of Perona and Malik's method to `out`.
#[pyfunction]
#[pyo3(signature = (image, out, steps, edge, reciprocal, dt, threads, /))]
pub(crate) fn diffusion_image(
    py: Python<'_>,
    image: &Array<'_>,
    out: &Array<'_>,
    steps: usize,
    edge: f64,
    reciprocal: bool,
    dt: f64,
    threads: usize,
) -> Outcome {
    let lengths = image.shape();
    if !(2..=4).contains(&lengths.len()) {
        let allowed = "2 to 4 axes, the first of channels".to_owned();
        let given = lengths.to_vec();
        let argument = "image";
        return Err(Error::Shape {
            argument,
            given,
            allowed,
        }
        .into());
    }
    let mut shape = [1; 3];
    shape[4 - lengths.len()..].copy_from_slice(&lengths[1..]);
    let channels = lengths[0];
    let conductance = if reciprocal {
        Conductance::Reciprocal
    } else {
        Conductance::Exponential
    };
    by_float!(image, T => {
        let mut lent = Lent::default();
        let image = slice::<T>("image", &mut lent, image)?;
        let out = slice_mut::<T>("out", &mut lent, out)?;
        enter(py, threads, |context| {
            kernels::image(
                image, shape, channels, out, steps, edge, conductance, dt, context,
            )
        })
    })
}
