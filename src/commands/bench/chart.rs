//! The results as a picture: a bar for each tool, as wide as its time against pgconvoy's.

use super::results::BenchResults;
use super::tools::Tool;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 250.0;
const ROW: f64 = 24.0;
const TITLE: f64 = 34.0;

/// An SVG of every data set's median times.
pub fn chart(results: &BenchResults) -> String {
    let mut body = String::new();
    let mut y = 8.0;
    for data in results.data_sets() {
        let tools = results.tools(data);
        let times: Vec<(Tool, f64)> = tools
            .into_iter()
            .filter_map(|tool| Some((tool, results.seconds(data, tool)?.median)))
            .collect();
        let longest = times.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        body.push_str(&text(8.0, y + 20.0, "title", data));
        y += TITLE;
        for (tool, seconds) in times {
            body.push_str(&bar(y, (tool, tool.name(results.job)), seconds, longest));
            y += ROW;
        }
        y += 10.0;
    }
    let machine = &results.machine;
    let note = format!(
        "median seconds, {} jobs, PostgreSQL {}, {} cores; less is better",
        results.jobs, machine.postgresql, machine.cores
    );
    body.push_str(&text(8.0, y + 12.0, "note", &note));
    let height = y + 24.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>.title{{font-weight:bold}}.note{{fill:#777;font-size:11px}}.ours{{fill:#2b6cb0}}\
         .theirs{{fill:#b8c2cc}}text{{fill:#444}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn bar(y: f64, (tool, name): (Tool, &str), seconds: f64, longest: f64) -> String {
    let width = (WIDTH - LABELS - 80.0) * seconds / longest.max(f64::MIN_POSITIVE);
    let class = if tool.is_ours() { "ours" } else { "theirs" };
    let height = ROW - 6.0;
    let label = text(16.0, y + 14.0, "tool", name);
    let time = text(LABELS + width + 6.0, y + 14.0, "time", &format!("{seconds:.1} s"));
    format!(
        "{label}<rect class=\"{class}\" x=\"{LABELS}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height}\"/>\n{time}"
    )
}

fn text(x: f64, y: f64, class: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::BenchRun;

    #[test]
    fn the_longest_bar_fills_the_picture_and_the_others_are_in_proportion() {
        let run = |tool: Tool, seconds| BenchRun {
            data: "a<b".to_owned(),
            tool,
            seconds,
            ..BenchRun::default()
        };
        let runs = vec![run(Tool::Pgconvoy, 2.0), run(Tool::Piped, 4.0)];
        let svg = chart(&BenchResults { runs, ..BenchResults::default() });
        assert!(svg.contains("a&lt;b") && svg.contains("width=\"530.0\""), "{svg}");
        assert!(svg.contains("width=\"265.0\""), "{svg}");
    }
}
