//! Where a course is upset: by name, so that it can be done again.

use super::course::{Course, SHAPES};
use crate::shape::Shape;
use crate::upset::Upset;

/// One fault at one deed, counted from the first deed after the course was brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Which deed, from 1.
    pub deed: u64,
    /// What happens there.
    pub upset: Upset,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.deed, self.upset.name())
    }
}

/// One fault, or two, of a course of a shape: `lost/whole/17:lost-reply+23:dies-after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Which course.
    pub course: Course,
    /// Which of the [`SHAPES`].
    pub shape: &'static str,
    /// The first fault.
    pub first: Point,
    /// The second one, at a later deed.
    pub second: Option<Point>,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.course.name(), self.shape, self.first)?;
        match self.second {
            Some(second) => write!(f, "+{second}"),
            None => Ok(()),
        }
    }
}

impl Pair {
    /// The one of that name.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn read(name: &str) -> Result<Pair, String> {
        let wrong =
            || format!("{name:?} is no pair: one is lost/whole/17:lost-reply+23:dies-after");
        let mut parts = name.splitn(3, '/');
        let (course, shape, points) = (parts.next(), parts.next(), parts.next());
        let course = course.and_then(Course::of_name).ok_or_else(wrong)?;
        let shape = SHAPES.iter().find(|(name, _)| Some(*name) == shape).ok_or_else(wrong)?.0;
        let points = points.ok_or_else(wrong)?;
        let read = |text: &str| {
            let (deed, upset) = text.split_once(':')?;
            Some(Point { deed: deed.parse().ok()?, upset: Upset::of_name(upset)? })
        };
        let (first, second) = match points.split_once('+') {
            None => (read(points).ok_or_else(wrong)?, None),
            Some((first, second)) => {
                let second = read(second).ok_or_else(wrong)?;
                (read(first).ok_or_else(wrong)?, Some(second))
            }
        };
        if second.is_some_and(|second| second.deed <= first.deed) {
            return Err(format!("{name:?}: the second fault comes after the first"));
        }
        Ok(Pair { course, shape, first, second })
    }

    /// The shape of that name.
    #[must_use]
    pub fn shape_of(self) -> Shape {
        let found = SHAPES.iter().find(|(name, _)| *name == self.shape);
        found.map_or(SHAPES[0].1, |(_, shape)| *shape)
    }
}
