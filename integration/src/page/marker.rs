//! Marks on points, so that series are told apart without colour.

use std::fmt::Write;

/// As many shapes there are.
pub(super) const SHAPES: usize = 8;
/// Half of a mark's width.
const REACH: f64 = 4.0;

/// Path data of the mark of that number around a point.
pub(super) fn path(number: usize, (x, y): (f64, f64)) -> String {
    let corners: &[(f64, f64)] = match number % SHAPES {
        0 => return circle(x, y),
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        4 => &[(0.0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
        5 => &[
            (-0.4, -1.3),
            (0.4, -1.3),
            (0.4, -0.4),
            (1.3, -0.4),
            (1.3, 0.4),
            (0.4, 0.4),
            (0.4, 1.3),
            (-0.4, 1.3),
            (-0.4, 0.4),
            (-1.3, 0.4),
            (-1.3, -0.4),
            (-0.4, -0.4),
        ],
        6 => &[(-1.3, -0.55), (1.3, -0.55), (1.3, 0.55), (-1.3, 0.55)],
        _ => &[
            (0.0, 0.5),
            (0.8, 1.3),
            (1.3, 0.8),
            (0.5, 0.0),
            (1.3, -0.8),
            (0.8, -1.3),
            (0.0, -0.5),
            (-0.8, -1.3),
            (-1.3, -0.8),
            (-0.5, 0.0),
            (-1.3, 0.8),
            (-0.8, 1.3),
        ],
    };
    let mut path = String::new();
    for (index, (right, down)) in corners.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        // Writing to a String does not fail.
        let _ = write!(path, "{letter}{:.1} {:.1}", x + right * REACH, y + down * REACH);
    }
    path.push('Z');
    path
}

fn circle(x: f64, y: f64) -> String {
    let wide = 2.0 * REACH;
    format!("M{:.1} {y:.1}a{REACH} {REACH} 0 1 0 {wide} 0a{REACH} {REACH} 0 1 0 -{wide} 0Z", x - REACH)
}
