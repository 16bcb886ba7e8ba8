//! Writes the man pages and the completions from the definition of the command line. The man pages have further
//! sections, which are text files.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{generate_to, Shell};
use clap_mangen::Man;

use crate::failure::{Failure, Result};
use crate::options::Arguments;
use crate::servers::plain;

/// The sections that follow the options on each page. A line that begins with four blanks is an example.
const SECTIONS: [(&str, &str); 7] = [
    ("election", include_str!("manual/election.txt")),
    ("run", include_str!("manual/run.txt")),
    ("status", include_str!("manual/status.txt")),
    ("members", include_str!("manual/members.txt")),
    ("watch", include_str!("manual/watch.txt")),
    ("wait", include_str!("manual/wait.txt")),
    ("doctor", include_str!("manual/doctor.txt")),
];

/// Writes `man1/election*.1`, and the completions for each shell, into `folder`.
pub fn generate(folder: &Path, date: &str) -> Result<u8> {
    write_all(folder, date).map_err(|error| Failure::failed(format!("{}: {}", folder.display(), plain(&error))))?;
    Ok(0)
}

fn write_all(folder: &Path, date: &str) -> io::Result<()> {
    let pages = folder.join("man1");
    let completions = folder.join("completions");
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Arguments::command(), "election", &completions)?;
    }
    let mut command = Arguments::command();
    command.build();
    write_page(&command, &pages, date)?;
    for subcommand in command.get_subcommands() {
        write_page(subcommand, &pages, date)?;
    }
    Ok(())
}

fn write_page(command: &Command, folder: &Path, date: &str) -> io::Result<()> {
    let name = command.get_name();
    let man = Man::new(command.clone()).date(date).source(format!("libelection {}", env!("CARGO_PKG_VERSION")));
    let man = man.manual("Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some((_, sections)) = SECTIONS.iter().find(|(page, _)| *page == name) {
        page.write_all(roff(sections).as_bytes())?;
    }
    fs::write(folder.join(man.get_filename()), page)
}

/// Converts sections to roff. A line in capitals is a heading. Two blanks separate a term from its meaning. An empty
/// line ends a paragraph.
fn roff(sections: &str) -> String {
    let mut text = String::new();
    let mut begins_paragraph = false;
    let mut is_example = false;
    for line in sections.lines() {
        let example = line.strip_prefix("    ");
        if is_example && example.is_none() {
            text.push_str(".fi\n.RE\n");
            begins_paragraph = true;
        }
        if !is_example && example.is_some() {
            let space = if text.lines().last().is_some_and(|line| line.starts_with(".SH")) { "" } else { ".sp\n" };
            text.push_str(&format!("{space}.RS 4\n.nf\n"));
        }
        is_example = example.is_some();
        let is_heading = !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        if let Some(example) = example {
            text.push_str(&format!("{}\n", escape(example)));
        } else if line.is_empty() {
            begins_paragraph = true;
        } else if is_heading {
            text.push_str(&format!(".SH {line}\n"));
            begins_paragraph = false;
        } else if let Some((term, meaning)) = line.split_once("  ") {
            text.push_str(&format!(".TP\n{}\n{}\n", escape(term), escape(meaning)));
            begins_paragraph = false;
        } else {
            if std::mem::take(&mut begins_paragraph) {
                text.push_str(".PP\n");
            }
            text.push_str(&format!("{}\n", escape(line)));
        }
    }
    if is_example {
        text.push_str(".fi\n.RE\n");
    }
    text
}

fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}
