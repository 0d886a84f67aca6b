//! Times as a picture: a lane for each thing, a bar or a mark where it was.

use crate::webstream::clock;

use super::markup::Markup;

const WIDTH: f64 = 960.0;
const LABELS: f64 = 230.0;
/// What is kept free on the right for a time behind the last bar.
const RIGHT: f64 = 150.0;
const LANE: f64 = 24.0;
const AXIS: f64 = 26.0;
/// Most ticks that fit, and how far they may be apart, in seconds.
const TICKS: f64 = 8.0;
const DAY: f64 = 86400.0;
const STEPS: [f64; 19] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
    7200.0,
    10800.0,
    21600.0,
    43200.0,
    86400.0,
    172_800.0,
    604_800.0,
    2_592_000.0,
];

/// Something that took its time, or happened at one. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    /// What it is.
    pub(super) label: String,
    /// From when on.
    pub(super) began: f64,
    /// Until when; the same where only that is known.
    pub(super) ended: f64,
    /// What its colour says: a class of the style sheet.
    pub(super) class: &'static str,
}

/// How the axis tells times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// As dates, in UTC.
    Dates,
    /// As what has passed since the beginning.
    Passed,
}

/// Draws the lanes from top to bottom.
pub(super) fn draw(markup: &mut Markup, title: &str, lanes: &[Lane], axis: Axis) {
    let began = lanes.iter().map(|lane| lane.began).fold(f64::INFINITY, f64::min);
    let ended = lanes.iter().map(|lane| lane.ended).fold(f64::NEG_INFINITY, f64::max);
    if !(began.is_finite() && ended.is_finite()) {
        return;
    }
    let scale = Scale { began, seconds: (ended - began).max(1.0) };
    let bottom = lanes.iter().fold(4.0, |y, _| y + LANE);
    let height = bottom + AXIS;
    let open = format!(
        "svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\""
    );
    markup.around(&open, |svg| {
        svg.element("title", title);
        ticks(svg, &scale, bottom, axis);
        let mut y = 4.0;
        for lane in lanes {
            draw_lane(svg, &scale, y, lane, axis);
            y += LANE;
        }
    });
}

struct Scale {
    began: f64,
    seconds: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        LABELS + (WIDTH - LABELS - RIGHT) * (at - self.began) / self.seconds
    }

    fn tick(&self) -> f64 {
        let fits = |step: &&f64| self.seconds / **step <= TICKS;
        STEPS.iter().find(fits).copied().unwrap_or(self.seconds / TICKS)
    }
}

fn ticks(svg: &mut Markup, scale: &Scale, bottom: f64, axis: Axis) {
    let step = scale.tick();
    let first = match axis {
        Axis::Passed => scale.began,
        Axis::Dates => (scale.began / step).ceil() * step,
    };
    let mut at = first;
    while at <= scale.began + scale.seconds {
        let x = scale.x(at);
        svg.raw(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>"
        ));
        let words = match axis {
            Axis::Passed => format!("+{}", duration(at - scale.began)),
            Axis::Dates if step < DAY => clock::time_of_day(at),
            Axis::Dates => clock::date(at),
        };
        let y = bottom + 16.0;
        let tag = format!("text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\"");
        svg.element(&tag, &words);
        at += step;
    }
}

fn draw_lane(svg: &mut Markup, scale: &Scale, y: f64, lane: &Lane, axis: Axis) {
    let middle = y + LANE / 2.0;
    let baseline = middle + 4.0;
    svg.element(&format!("text x=\"0\" y=\"{baseline:.1}\""), &shortened(&lane.label));
    let (from, to) = (scale.x(lane.began), scale.x(lane.ended));
    let class = lane.class;
    let words = if lane.ended > lane.began {
        let (width, top, height) = ((to - from).max(2.0), y + 4.0, LANE - 8.0);
        svg.raw(&format!(
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"2\"/>"
        ));
        duration(lane.ended - lane.began)
    } else {
        svg.raw(&format!("<circle class=\"{class}\" cx=\"{to:.1}\" cy=\"{middle:.1}\" r=\"5\"/>"));
        match axis {
            Axis::Dates => clock::shown(lane.ended),
            Axis::Passed => String::new(),
        }
    };
    let x = to + 9.0;
    svg.element(&format!("text class=\"time\" x=\"{x:.1}\" y=\"{baseline:.1}\""), &words);
}

/// A label that fits its column.
fn shortened(label: &str) -> String {
    const MOST: usize = 34;
    match label.chars().count() > MOST {
        true => label.chars().take(MOST - 1).chain(['…']).collect(),
        false => label.to_owned(),
    }
}

/// A span of time for people.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return match seconds {
            ..0.0005 => "0 s".to_owned(),
            ..0.9995 => format!("{:.0} ms", seconds * 1000.0),
            _ => format!("{seconds:.1} s"),
        };
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 9.95")]
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", whole % 60),
        (0, ..) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(began: f64, ended: f64) -> Lane {
        Lane { label: "<data>".to_owned(), began, ended, class: "data" }
    }

    fn drawn(lanes: &[Lane], axis: Axis) -> String {
        let mut markup = Markup::default();
        draw(&mut markup, "when", lanes, axis);
        markup.into_text()
    }

    #[test]
    fn bars_are_as_long_as_what_they_show_took() {
        let svg = drawn(&[lane(0.0, 100.0), lane(50.0, 100.0)], Axis::Passed);
        assert!(svg.contains("x=\"230.0\" y=\"8.0\" width=\"580.0\""), "{svg}");
        assert!(svg.contains("x=\"520.0\" y=\"32.0\" width=\"290.0\""), "{svg}");
        assert!(svg.contains("&lt;data&gt;") && svg.contains("+1 min 30 s"), "{svg}");
        roxmltree::Document::parse(&svg).unwrap();
    }

    #[test]
    fn what_took_no_time_is_a_mark_with_its_date() {
        let svg = drawn(&[lane(1_800_000_000.0, 1_800_000_000.0)], Axis::Dates);
        assert!(svg.contains("<circle") && svg.contains("2027-01-15 08:00:00<"), "{svg}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing_and_few_ticks_of_years() {
        assert_eq!(drawn(&[], Axis::Dates), "");
        assert!(drawn(&[lane(0.0, 3.0e8)], Axis::Passed).matches("grid").count() <= 10);
    }

    #[test]
    fn spans_are_told_in_their_own_units() {
        let table = [
            (0.0, "0 s"),
            (0.25, "250 ms"),
            (1.04, "1.0 s"),
            (12.4, "12 s"),
            (90.0, "1 min 30 s"),
            (3_700.0, "1 h 01 min"),
            (90_000.0, "1 d 01 h"),
        ];
        for (seconds, expected) in table {
            assert_eq!(duration(seconds), expected);
        }
    }
}
