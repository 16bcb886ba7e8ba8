//! Many lines as one: `{01-70}` in a line stands for the numbers 01 to 70, in all places at the same time.

/// The lines that a line with ranges stands for; the line itself if it has none.
pub fn unfold(line: &str) -> Result<Vec<String>, String> {
    let mut lines: Option<Vec<String>> = None;
    let mut rest = line;
    let mut last = String::new();
    let mut append = |text: &str, lines: &mut Option<Vec<String>>| match lines {
        Some(lines) => lines.iter_mut().for_each(|line| line.push_str(text)),
        None => last.push_str(text),
    };
    while let Some((before, range, after)) = next_range(rest) {
        append(before, &mut lines);
        let (first, end) = range.split_once('-').ok_or(format!("not a range: {range}"))?;
        let number = |word: &str| word.parse::<u64>().map_err(|_| format!("not a range: {range}"));
        let numbers: Vec<_> = (number(first)?..=number(end)?).collect();
        let lines = lines.get_or_insert_with(|| vec![line[..before.len()].to_string(); numbers.len()]);
        if lines.len() != numbers.len() {
            return Err("ranges of different length in one line".into());
        }
        for (line, number) in lines.iter_mut().zip(numbers) {
            line.push_str(&format!("{number:0width$}", width = first.len()));
        }
        rest = after;
    }
    append(rest, &mut lines);
    Ok(lines.unwrap_or(vec![last]))
}

fn next_range(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    Some((before, range, after))
}

/// The other way round: runs of at least three lines that differ only in numbers which rise by one.
pub fn fold(lines: &[String]) -> Vec<String> {
    let mut folded = Vec::new();
    let mut from = 0;
    while from < lines.len() {
        let runs = (from + 3..=lines.len()).rev();
        match runs.filter_map(|to| Some((to, as_one(&lines[from..to])?))).next() {
            Some((to, line)) => (folded.push(line), from = to).1,
            None => (folded.push(lines[from].clone()), from += 1).1,
        }
    }
    folded
}

/// Lines that came of lines which were one: folded column by column, where that can be done.
pub fn fold_groups(groups: &[Vec<String>]) -> Vec<String> {
    let columns = groups.first().map_or(0, Vec::len);
    let column =
        |at: usize| as_one(&groups.iter().map(|group| group.get(at).cloned()).collect::<Option<Vec<_>>>()?);
    let folded = (0..columns).map(column).collect::<Option<Vec<_>>>();
    let fits = groups.len() > 1 && groups.iter().all(|group| group.len() == columns);
    folded.filter(|_| fits).unwrap_or_else(|| fold(&groups.concat()))
}

fn as_one(lines: &[String]) -> Option<String> {
    let split: Vec<_> = lines.iter().map(|line| parts(line)).collect();
    let (first, last) = (split.first()?, split.last()?);
    let mut one = String::new();
    for (at, part) in first.iter().enumerate() {
        if split.iter().all(|parts| parts.len() == first.len() && parts[at] == *part) {
            one.push_str(part);
            continue;
        }
        let start: u64 = part.parse().ok()?;
        let rises = |(by, parts): (usize, &Vec<&str>)| {
            parts.len() == first.len() && parts[at] == format!("{:0width$}", start + by as u64, width = part.len())
        };
        split.iter().enumerate().all(rises).then(|| one.push_str(&format!("{{{part}-{}}}", last[at])))?;
    }
    Some(one)
}

/// A line, cut where digits begin and end.
fn parts(line: &str) -> Vec<&str> {
    let is_digit = |at: usize| line.as_bytes()[at].is_ascii_digit();
    let cuts: Vec<_> = (1..line.len()).filter(|at| is_digit(at - 1) != is_digit(*at)).collect();
    let ends = cuts.iter().copied().chain([line.len()]);
    [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(from, to)| &line[from..to]).collect()
}
