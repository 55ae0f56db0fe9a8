//! Chat templates as Transformers renders them.

use crate::EngineError;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use semievol_core::Message;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Steps of a rendering: thousands of messages take fewer.
const FUEL: u64 = 10_000_000;

/// A chat template with the two tokens it may print.
///
/// What Transformers gives a template is there (`raise_exception`, `tojson`, Python's string methods, `tools`
/// and `documents` as none), with one exception: `strftime_now` is not defined, since nothing here reads the
/// clock. Most templates that know it test for it and print a fixed date without it; the others are refused.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    /// The source as it is rendered.
    parsed: String,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// # Errors
    /// If the source is not a template.
    pub(crate) fn new(
        source: impl Into<String>,
        bos_token: impl Into<String>,
        eos_token: impl Into<String>,
    ) -> Result<Self, EngineError> {
        let (source, environment) = (source.into(), environment());
        if source.contains("strftime_now") && !source.contains("strftime_now is") {
            return Err(EngineError::Tokenizer {
                reason: "the chat template prints today's date (strftime_now), and nothing here reads the clock: put a fixed date into the template".into(),
            });
        }
        let parsed = without_marks(&source);
        environment.template_from_str(&parsed).map_err(|e| failed("does not parse", &e))?;
        Ok(ChatTemplate {
            environment,
            source,
            parsed,
            bos_token: bos_token.into(),
            eos_token: eos_token.into(),
        })
    }

    /// The template's text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The chat as text, with the marker that opens the assistant's turn if `open_turn`.
    pub(crate) fn render(&self, messages: &[Message], open_turn: bool) -> Result<String, EngineError> {
        let context = context! {
            messages => messages,
            add_generation_prompt => open_turn,
            bos_token => self.bos_token,
            eos_token => self.eos_token,
            tools => (),
            documents => (),
        };
        self.environment.render_str(&self.parsed, context).map_err(|e| failed("cannot be rendered", &e))
    }
}

/// The source with another block in the place of `generation`, by which Transformers knows what an assistant said: it prints
/// what it holds.
fn without_marks(source: &str) -> String {
    let mut pieces = source.split("{%");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (tag, after) = piece.split_once("%}").unwrap_or((piece, ""));
        let word = tag.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let other = match word {
            "generation" => tag.replace(word, "if true"),
            "endgeneration" => tag.replace(word, "endif"),
            _ => tag.to_owned(),
        };
        let end = if piece.contains("%}") { "%}" } else { "" };
        text.extend(["{%", &other, end, after]);
    }
    text
}

fn failed(what: &str, error: &Error) -> EngineError {
    EngineError::Tokenizer { reason: format!("the chat template {what}: {error}") }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // A template of some file may loop without end.
    environment.set_fuel(Some(FUEL));
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", to_json);
    environment
}

fn raise_exception(reason: Rest<String>) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, reason.join(" ")))
}

/// Python's `json.dumps(value, ensure_ascii=False)`; Jinja's own filter escapes HTML.
fn to_json(value: &Value) -> Result<String, Error> {
    let failed = |e: String| Error::new(ErrorKind::BadSerialization, e);
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonSpacing);
    value.serialize(&mut serializer).map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
}

/// `", "` between elements and `": "` after keys.
struct PythonSpacing;

impl Formatter for PythonSpacing {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn separate<W: ?Sized + Write>(writer: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { writer.write_all(b", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_core::Role;

    fn check(source: &str, expected: &str) {
        let template = ChatTemplate::new(source, "<s>", "</s>").unwrap();
        let messages = [
            Message { role: Role::System, content: " be <brief> ".into() },
            Message { role: Role::User, content: "hi".into() },
        ];
        assert_eq!(template.render(&messages, true).unwrap(), expected, "{source}");
    }

    #[test]
    fn renders_as_transformers_does() {
        check("{% for m in messages %}\n[{{ m.role }}]\n{% endfor %}\n", "[system]\n[user]\n");
        check("   {% if add_generation_prompt %}\n  yes\n   {% endif %}", "  yes\n");
        check(
            "{{ bos_token }}{{ messages[0]['content'].strip() | upper }}{{ eos_token }}",
            "<s>BE <BRIEF></s>",
        );
        check("{{ messages[0] | tojson }}", r#"{"role": "system", "content": " be <brief> "}"#);
        check("{% if strftime_now is defined %}today{% else %}once{% endif %}", "once");
        check("{% if tools is none and documents is none %}bare{% endif %}", "bare");
        check(
            "{% set ns = namespace(n=0) %}{% for m in messages[1:] %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "1",
        );
        check("{{ messages[0].content.split('<')[-1] }}{{ missing }}", "brief> ");
        check(
            "{% for m in messages %}{%- generation -%} {{ m.content }} {%- endgeneration %}{% endfor %}{# generation #}",
            " be <brief> hi",
        );
    }

    #[test]
    fn errors_say_what_the_template_says() {
        let template = ChatTemplate::new("{{ raise_exception('roles must alternate') }}", "", "").unwrap();
        let error = template.render(&[], true).unwrap_err().to_string();
        assert!(error.contains("roles must alternate"), "{error}");
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
        let error = ChatTemplate::new(endless, "", "").unwrap().render(&[], true).unwrap_err().to_string();
        assert!(error.contains("cannot be rendered"), "{error}");
        let error = ChatTemplate::new("{% if %}", "", "").unwrap_err().to_string();
        assert!(error.contains("does not parse"), "{error}");
        let error =
            ChatTemplate::new("{% set today = strftime_now('%Y') %}", "", "").unwrap_err().to_string();
        assert!(error.contains("today's date"), "{error}");
    }
}
