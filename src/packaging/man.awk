# Makes the man pages of include/election.h, one for each function and type and an overview:
#
#   MAN_OUT=FOLDER awk -v version=0.1.0 -v date=2026-11-21 -f man.awk include/election.h docs/examples/*.c
#
# The pages go to FOLDER/man3 and FOLDER/man7, which must exist. cbindgen lays out the header, so it can be read line
# by line: a comment, then what it is about. Each page shows the first example that uses its function or type.

# ---- Reading -----------------------------------------------------------------------------------------------------

FILENAME ~ /\.c$/ {
    if (FNR == 1) example_text[++example_count] = ""
    example_text[example_count] = example_text[example_count] $0 "\n"
    next
}

/^\/\* election\.h - / {
    sub(/^\/\* election\.h - /, "")
    sub(/\.$/, "")
    what_it_is = $0
    in_preface = 1
    next
}
in_preface {
    if (/^ \*\/$/) in_preface = 0
    else preface = preface uncommented($0) "\n"
    next
}

/^ *\/\*\*/ {
    comment = ""
    in_comment = 1
    sub(/^ *\/\*\* ?/, "")
    if ($0 == "") next
    $0 = " * " $0
}
in_comment {
    is_last = sub(/ *\*\/$/, "")
    # `uncommented` turns a line that is now empty, of ` */`, into nothing.
    if (!(is_last && /^ *$/)) comment = comment uncommented($0) "\n"
    if (is_last) in_comment = 0
    next
}

/^#define ELECTION_[A-Z_]+ / { define($2, $0) }
/^typedef (enum|struct) [a-z_]+ [a-z_]+;$/ { begin($3); sub(/;$/, "", $4); close_type($0); next }
/^typedef (enum|struct) [a-z_]+ \{$/ { begin($3); kind[item] = $2; synopsis[item] = $0; in_body = 1; next }
/^typedef .*\(\*[a-z_]+\)\(/ {
    match($0, /\(\*[a-z_]+\)/)
    begin(substr($0, RSTART + 2, RLENGTH - 3))
    close_type($0)
    next
}
in_body && /^\}/ { synopsis[item] = synopsis[item] "\n" $0; in_body = 0; types[++type_count] = item; next }
in_body && NF > 0 {
    synopsis[item] = synopsis[item] "\n" $0
    member = $0
    gsub(/^ +|[;,]$/, "", member)
    members[item, ++member_count[item]] = member
    about[item, member_count[item]] = comment
    comment = ""
    next
}

# A function: its declaration may take several lines, and ends with `);`.
!in_body && /^[a-z].*\(/ && !/^extern/ {
    match($0, /[a-z_0-9]+\(/)
    begin(substr($0, RSTART, RLENGTH - 1))
    functions[++function_count] = item
    is_function[item] = 1
    in_declaration = 1
    declaration = ""
}
in_declaration {
    declaration = declaration (declaration == "" ? "" : "\n") $0
    if (/\);$/) {
        synopsis[item] = declaration
        in_declaration = 0
    }
}

# A line of a comment without what makes it one.
function uncommented(line) {
    sub(/^ *\* ?/, "", line)
    return line
}

# What the last comment is about.
function begin(name) {
    item = name
    text[item] = comment
    comment = ""
}

function close_type(declaration) {
    synopsis[item] = declaration
    types[++type_count] = item
}

function define(name, line) {
    defines[++define_count] = name
    text[name] = comment
    synopsis[name] = line
    comment = ""
}

# ---- Writing -----------------------------------------------------------------------------------------------------

BEGIN { out = ENVIRON["MAN_OUT"] }

END {
    if (function_count == 0 || type_count == 0 || what_it_is == "") {
        print "man.awk: this is not election.h" > "/dev/stderr"
        exit 1
    }
    for (i = 1; i <= function_count; i++) page_of[functions[i]] = page_for(functions[i])
    for (i = 1; i <= function_count; i++) if (page_of[functions[i]] == functions[i]) function_page(functions[i])
    for (i = 1; i <= function_count; i++) if (page_of[functions[i]] != functions[i]) alias(functions[i])
    for (i = 1; i <= type_count; i++) type_page(types[i])
    overview()
}

# Whose page a function is on: what undoes a thing stands beside what does it.
function page_for(name,    other) {
    other = name
    if (sub(/_free$/, "_new", other) && other in is_function) return other
    other = name
    if (sub(/^election_unwatch_/, "watch_", other) && other in is_function) return other
    other = name
    if (sub(/^election_unwatch_/, "election_watch_", other) && other in is_function) return other
    # The other name of the same function.
    other = name
    if (sub(/^election_/, "", other) && other in is_function) return other
    return name
}

function alias(name) {
    print page_of[name] ".3", name ".3" > (out "/aliases")
}

function open_page(name, section) {
    file = out "/man" section "/" name "." section
    printf "" > file
    printf ".\\\" Made from election.h.\n.TH %s %s %s \"libelection %s\" \"libelection\"\n", toupper(name), section, date, version > file
}

function function_page(name,    i, names, list, count, is_first) {
    list = name
    names[count = 1] = name
    for (i = 1; i <= function_count; i++)
        if (functions[i] != name && page_of[functions[i]] == name) {
            names[++count] = functions[i]
            list = list ", " functions[i]
        }
    open_page(name, 3)
    split("", is_here)
    split("", mentioned)
    for (i = 1; i <= count; i++) is_here[names[i]] = 1

    heading("NAME")
    wrapped(list " \\- " summary(text[name]))
    library()
    heading("SYNOPSIS")
    line(".nf\n.B #include <election.h>")
    for (i = 1; i <= count; i++) code_lines(synopsis[names[i]])
    line(".fi")
    heading("DESCRIPTION")
    for (i = 1; i <= count; i++) {
        if (count > 1) line(".SS " names[i])
        prose(descriptive(text[names[i]]), 0)
    }
    is_first = 1
    for (i = 1; i <= count; i++) {
        if (returns(text[names[i]]) == "") continue
        if (is_first) heading("RETURN VALUE")
        is_first = 0
        if (count > 1) line(".SS " names[i])
        prose(returns(text[names[i]]), 0)
    }
    errors()
    for (i = 1; i <= count; i++) if (example_of(names[i])) break
    for (i = 1; i <= count; i++) mention(synopsis[names[i]])
    see_also()
    close(file)
}

# Shows the first example that uses a name. Whether there is one.
function example_of(name,    i, count, lines, k) {
    for (i = 1; i <= example_count; i++) {
        if (example_text[i] !~ ("(^|[^A-Za-z_0-9])" name "([^A-Za-z_0-9]|$)")) continue
        heading("EXAMPLES")
        line(".EX")
        count = split(example_text[i], lines, "\n")
        for (k = 1; k < count; k++) line((lines[k] ~ /^[.']/ ? "\\&" : "") escaped(lines[k]))
        line(".EE")
        return 1
    }
    return 0
}

# The example of a type: one that uses it, one of its constants, a function that takes it, or a struct that holds it.
function example_of_type(name,    i, constant) {
    if (example_of(name)) return
    for (i = 1; i <= member_count[name]; i++) {
        constant = members[name, i]
        sub(/ =.*/, "", constant)
        if (constant ~ /^ELECTION_/ && example_of(constant)) return
    }
    for (i = 1; i <= function_count; i++)
        if (synopsis[functions[i]] ~ ("(^|[^a-z_])" name "([^a-z_]|$)") && example_of(functions[i])) return
    for (i = 1; i <= type_count; i++)
        if (types[i] != name && synopsis[types[i]] ~ ("(^|[^a-z_])" name "([^a-z_]|$)") && example_of(types[i])) return
}

function type_page(name,    i) {
    open_page(name, 3)
    split("", is_here)
    split("", mentioned)
    is_here[name] = 1
    heading("NAME")
    wrapped(name " \\- " summary(text[name]))
    library()
    heading("SYNOPSIS")
    line(".nf\n.B #include <election.h>")
    code_lines(synopsis[name])
    line(".fi")
    heading("DESCRIPTION")
    prose(text[name], 0)
    for (i = 1; i <= member_count[name]; i++) {
        line(".TP\n.B " escaped(members[name, i]))
        prose(about[name, i], 1)
    }
    example_of_type(name)
    mention(synopsis[name])
    for (i = 1; i <= function_count; i++)
        if (synopsis[functions[i]] ~ ("(^|[^a-z_])" name "([^a-z_]|$)")) mentioned[page_of[functions[i]]] = 1
    see_also()
    close(file)
}

function overview(    i) {
    open_page("election", 7)
    split("", is_here)
    split("", mentioned)
    heading("NAME")
    line("election \\- " what_it_is)
    library()
    heading("SYNOPSIS")
    line(".nf\n.B #include <election.h>\n.PP\n.B cc program.c $(pkg-config --cflags --libs election)\n.fi")
    heading("DESCRIPTION")
    sub(/\nMade by cbindgen .*$/, "", preface)
    prose(preface, 0)
    heading("FUNCTIONS")
    for (i = 1; i <= function_count; i++) {
        line(".TP\n.BR " functions[i] " (3)")
        prose(sentence(text[functions[i]]), 1)
    }
    heading("TYPES")
    for (i = 1; i <= type_count; i++) {
        line(".TP\n.BR " types[i] " (3)")
        prose(sentence(text[types[i]]), 1)
    }
    heading("CONSTANTS")
    for (i = 1; i <= define_count; i++) {
        line(".TP\n.B " escaped(substr(synopsis[defines[i]], 9)))
        prose(text[defines[i]], 1)
    }
    heading("SEE ALSO")
    line(".BR go_to_election (3),\n.BR watch_master (3)")
    close(file)
}

function library() {
    heading("LIBRARY")
    line("Master election on ZooKeeper (libelection,\n.IR \\-lelection )")
}

function heading(title) { line(".SH " (title ~ / / ? "\"" title "\"" : title)) }

function line(s) { print s > file }

function code_lines(code,    i, count, lines) {
    line(".PP")
    count = split(code, lines, "\n")
    for (i = 1; i <= count; i++) line("\\fB" escaped(lines[i]) "\\fR")
}

function escaped(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    return s
}

# What the page's numbers mean, of those that are what functions return.
function errors(    name, i, enum, is_first) {
    is_first = 1
    enum = "election_rc_t"
    for (i = 1; i <= member_count[enum]; i++) {
        name = members[enum, i]
        sub(/ =.*/, "", name)
        if (!(name in mentioned) || name == "ELECTION_OK") continue
        if (is_first) heading("ERRORS")
        is_first = 0
        line(".TP\n.B " name)
        prose(about[enum, i], 1)
    }
}

# The types that a declaration is made of.
function mention(declaration,    i) {
    for (i = 1; i <= type_count; i++)
        if (declaration ~ ("(^|[^a-z_])" types[i] "([^a-z_]|$)")) mentioned[types[i]] = 1
}

function see_also(    i) {
    heading("SEE ALSO")
    for (i = 1; i <= function_count; i++) other_page(page_of[functions[i]])
    for (i = 1; i <= type_count; i++) other_page(types[i])
    line(".BR election (7)")
}

function other_page(name) {
    if (name in mentioned && !(name in is_here)) line(".BR " name " (3),")
    delete mentioned[name]
}

# The first sentence, as it stands.
function sentence(s) {
    gsub(/\n/, " ", s)
    if (match(s, /\. /)) s = substr(s, 1, RSTART)
    return s
}

# The first sentence, for the NAME section.
function summary(s) {
    s = sentence(s)
    sub(/( \([^()]*\))?\.? *$/, "", s)
    gsub(/`/, "", s)
    if (s !~ /^[A-Z]+[A-Z_ ]/) s = tolower(substr(s, 1, 1)) substr(s, 2)
    return s
}

function descriptive(s) { return without_returns(s, 0) }

function returns(s) { return without_returns(s, 1) }

# The paragraphs of a comment that say what is returned, or all others.
function without_returns(s, wanted,    i, count, paragraphs, found) {
    count = split(s, paragraphs, /\n\n/)
    found = ""
    for (i = 1; i <= count; i++)
        if ((paragraphs[i] ~ /^Returns /) == wanted) found = found (found == "" ? "" : "\n\n") paragraphs[i]
    return found
}

# Paragraphs, lists and indented code, as the comments have them. `is_item`: the text of an item of a list.
function prose(s, is_item,    i, count, lines, paragraph, in_code, in_list) {
    count = split(s, lines, "\n")
    paragraph = ""
    in_code = in_list = 0
    is_begun = 0
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ /^    / && (in_code || paragraph == "")) {
            if (!in_code) line((is_begun ? ".PP\n" : "") ".RS 4\n.EX")
            in_code = is_begun = 1
            line((lines[i] ~ /^    [.']/ ? "\\&" : "") escaped(substr(lines[i], 5)))
            continue
        }
        if (in_code) {
            line(".EE\n.RE")
            in_code = 0
        }
        if (lines[i] ~ /^- /) {
            paragraph = flush(paragraph)
            line(".IP \\(bu 2")
            in_list = is_begun = 1
            paragraph = substr(lines[i], 3)
        } else if (lines[i] ~ /^ *$/) {
            paragraph = flush(paragraph)
            in_list = 0
        } else {
            if (paragraph == "" && is_begun && !in_list) line(is_item ? ".IP" : ".PP")
            is_begun = 1
            sub(/^ +/, "", lines[i])
            paragraph = paragraph (paragraph == "" ? "" : " ") lines[i]
        }
    }
    flush(paragraph)
    if (in_code) line(".EE\n.RE")
}

# Ends a paragraph. Returns the next one, which is empty.
function flush(paragraph) {
    if (paragraph != "") wrapped(marked(paragraph))
    return ""
}

# In lines that are not long, each sentence beginning one.
function wrapped(s,    i, count, words, current) {
    count = split(s, words, / +/)
    current = ""
    for (i = 1; i <= count; i++) {
        if (current != "" && (length(current) + length(words[i]) > 76 || current ~ /[.!?]\)?$/)) {
            line(current)
            current = ""
        }
        if (current == "") current = (words[i] ~ /^[.']/ ? "\\&" : "") words[i]
        else current = current " " words[i]
    }
    line(current)
}

# The names of functions, types and constants in bold, what stands in backquotes in italics.
function marked(s,    word, done) {
    done = ""
    while (match(s, /`[^`]*`|[A-Za-z_][A-Za-z_0-9]*|\\/)) {
        word = substr(s, RSTART, RLENGTH)
        done = done substr(s, 1, RSTART - 1)
        s = substr(s, RSTART + RLENGTH)
        if (word == "\\") {
            word = "\\e"
        } else if (word ~ /^`/) {
            word = "\\fI" escaped(substr(word, 2, length(word) - 2)) "\\fR"
            gsub(/ /, "\\ ", word)
        } else if (word in is_function) {
            mentioned[page_of[word]] = 1
            word = "\\fB" word "\\fR" (word in is_here ? "" : "(3)")
        } else if (word in synopsis && word ~ /_(t|fn)$/) {
            mentioned[word] = 1
            word = "\\fB" word "\\fR" (word in is_here ? "" : "(3)")
        } else if (word ~ /^ELECTION_/) {
            mentioned[word] = 1
            word = "\\fB" word "\\fR"
        }
        done = done word
    }
    return done s
}
