//! HTML letters as text. The renderer (html2text) has panicked and hung on hostile input before:
//! it runs on a thread of its own, with bounds on size, depth and time, and where it fails the tags
//! are simply stripped. Nothing is ever fetched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use super::safe;
use crate::limits::{HTML_STACK, HTML_TIME, MAX_HTML, MAX_HTML_DEPTH};

/// The text of an HTML part in lines of at most `width` columns, links as footnotes, safe to show.
pub fn to_text(html: &str, width: usize) -> String {
    let html = beginning(html, MAX_HTML);
    let rendered = if depth(html) > MAX_HTML_DEPTH { None } else { render(html, width) };
    safe::text(&rendered.unwrap_or_else(|| stripped(html)))
}

/// The renderer's text; `None` when it fails, panics or is too slow. A thread that is too slow is
/// left behind: it ends with the program.
fn render(html: &str, width: usize) -> Option<String> {
    let html = html.to_owned();
    let width = width.max(20);
    let (done, result) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("html".into())
        .stack_size(HTML_STACK)
        .spawn(move || {
            let text = catch_unwind(AssertUnwindSafe(|| {
                html2text::config::plain().string_from_read(html.as_bytes(), width)
            }));
            // Nobody waits any more when this was too slow.
            let _ = done.send(text.ok().and_then(Result::ok));
        })
        .ok()?;
    result.recv_timeout(HTML_TIME).ok().flatten()
}

/// How deep elements are nested at most, by a count of tags that errs upwards.
fn depth(html: &str) -> usize {
    /// Elements without content, and those that the next of their kind ends.
    const FLAT: [&str; 22] = [
        "area", "base", "br", "col", "dd", "dt", "hr", "img", "input", "li", "link", "meta",
        "option", "p", "param", "source", "td", "th", "tr", "track", "wbr", "!doctype",
    ];
    let (mut now, mut most) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        let name: String = tag
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '>')
            .take(16)
            .collect::<String>()
            .to_ascii_lowercase();
        if let Some(name) = name.strip_prefix('/') {
            if !FLAT.contains(&name) {
                now = now.saturating_sub(1);
            }
        } else if name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !FLAT.contains(&name.trim_end_matches('/'))
        {
            now += 1;
            most = most.max(now);
        }
    }
    most
}

/// The words without the tags.
fn stripped(html: &str) -> String {
    catch_unwind(AssertUnwindSafe(|| message::values::html_words(html))).unwrap_or_else(|_| {
        let mut inside = false;
        html.chars()
            .filter(|c| {
                let was_inside = inside;
                inside = match c {
                    '<' => true,
                    '>' => false,
                    _ => inside,
                };
                !inside && !was_inside
            })
            .collect()
    })
}

/// At most so many octets of the text, whole characters.
fn beginning(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_can_read_it() {
        let html = "<html><head><style>p { color: red }</style><script>alert(1)</script></head>\
                    <body><h1>Hi &amp; hello</h1><p>A <a href=\"https://x.test/y\">link</a>.</p>\
                    <ul><li>one</li><li>two</li></ul><img src=\"http://spy.test/p.gif\"></body></html>";
        let text = to_text(html, 60);
        for part in ["Hi & hello", "link", "https://x.test/y", "one", "two"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for part in ["alert", "color", "<"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let text = to_text("<p>a&#27;[2Jb\x1b]0;x\x07 &#x9b;31m</p>", 60);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn hostile_html_ends_as_text() {
        let deep = "<div>".repeat(50_000) + "word";
        assert!(to_text(&deep, 60).contains("word"));
        let wide = "<table><tr>".to_owned() + &"<td>x</td>".repeat(5_000) + "</tr></table>";
        assert!(to_text(&wide, 40).contains('x'));
        for broken in ["<", "<a href=", "<!--", "<table><table></a></p>", "&#xffffffff;", "<p>\0"] {
            let _ = to_text(broken, 0);
        }
    }
}
