//! A problem in a file: where, what was found, what was expected, what to try; shown with the line underlined.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report,
    Severity as MietteSeverity,
};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The server does not start with it.
    Error,
    /// Legal, but surely not what is meant.
    Warning,
}

/// A file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Path relative to the configuration directory.
    pub name: Arc<str>,
    /// What was in it.
    pub text: String,
    /// Where each line begins: every definition asks for its line, and there may be 20,000 in a file.
    lines: Vec<usize>,
}

impl Source {
    /// A file with this content.
    pub fn new(name: Arc<str>, text: String) -> Source {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Source {
            lines: std::iter::once(0).chain(lines).collect(),
            name,
            text,
        }
    }

    /// Line and column, both from 1, of a byte offset. Columns count characters.
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        (line as u32, before.chars().count() as u32 + 1)
    }
}

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// File, relative to the configuration directory.
    pub file: Arc<str>,
    /// Line, from 1; 0: the file as a whole.
    pub line: u32,
    /// Column, from 1; 0: the file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What stands under the underlined text: what was expected.
    pub label: String,
    /// What to try.
    pub help: Option<String>,
    #[serde(skip)]
    span: Option<(Arc<Source>, Range<usize>)>,
}

impl Problem {
    /// A problem at a place in a file.
    pub fn at(
        severity: Severity,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Problem {
        let (line, column) = source.position(span.start);
        Problem {
            severity,
            file: source.name.clone(),
            line,
            column,
            message: message.into(),
            label: String::new(),
            help: None,
            span: Some((source.clone(), span)),
        }
    }

    /// A problem with a file or directory as a whole.
    pub fn of_file(severity: Severity, file: &str, message: impl Into<String>) -> Problem {
        Problem {
            severity,
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            label: String::new(),
            help: None,
            span: None,
        }
    }

    /// Says what was expected there.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into();
        self
    }

    /// Says what to try.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// True when the server does not start with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem as text with the line underlined.
    pub fn render(&self, colour: bool) -> String {
        let mut diagnostic =
            MietteDiagnostic::new(&*self.message).with_severity(match self.severity {
                Severity::Error => MietteSeverity::Error,
                Severity::Warning => MietteSeverity::Warning,
            });
        diagnostic.help = self.help.clone();
        if let Some((_, span)) = &self.span {
            let label = (!self.label.is_empty()).then(|| self.label.clone());
            diagnostic = diagnostic.with_label(LabeledSpan::new(label, span.start, span.len()));
        }
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(110)
            .with_context_lines(1);
        let report = match &self.span {
            Some((source, _)) => Report::new(diagnostic)
                .with_source_code(NamedSource::new(&*self.file, source.text.clone())),
            None => {
                diagnostic.message = format!("{}: {}", self.file, diagnostic.message);
                Report::new(diagnostic)
            }
        };
        let mut out = String::new();
        match handler.render_report(&mut out, report.as_ref()) {
            Ok(()) => out,
            Err(_) => self.to_string(),
        }
    }
}

/// One line: `file:line:column: error: message`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if self.line == 0 {
            write!(f, "{}: {severity}: {}", self.file, self.message)?;
        } else {
            write!(
                f,
                "{}:{}:{}: {severity}: {}",
                self.file, self.line, self.column, self.message
            )?;
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None if self.label.is_empty() => Ok(()),
            None => write!(f, " ({})", self.label),
        }
    }
}
