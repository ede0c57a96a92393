"""How a line of each language begins: what tells languages apart when a file's name does not.

A line's first word picks the patterns that are tried on it; each that matches gives its points to some
languages. Three points are a line that hardly occurs elsewhere, one is a hint.
"""

from __future__ import annotations

import re
from collections import defaultdict

_MARKS = r"""
def             def \w+\s*\(.*\)?\s*(->.*)?[:,(]?\s*(\#.*)?$                  python 1
def             def \w+\(.*\)(\s*->.*)?:\s*(\#.*)?$                           python 3
def             def (self\.)?\w+[?!]?(\(.*\)|\s\w+(,\s*\w+)*)?$               ruby 3
def             def \w+.*=\s*\{?$                                             scala 3
def             def \w+.*\sdo$                                                elixir 4
defmodule       defmodule\s                                                   elixir 6
defp            defp\s                                                        elixir 4
class           class \w+(\(.*\))?:                                           python 3
class           class \w+(::\w+)*(\s*<\s*[\w:]+)?$                            ruby 2, cpp 0.5
class           class \w+(\s+extends\s+[\w.]+)?\s*\{                          javascript 2, php 1, java 0.5
class           class \w+\s*(final\s*)?(:\s*(public|private)\s.*)?\{?$        cpp 1
class           class\s.*\b(implements|readonly)\b                            php 1, typescript 1, java 1
from            from\s+[\w.]+\s+import\s                                      python 4
import          import\s+\w+(\.\w+)*(\s+as\s+\w+|(,\s*\w+)+)?\s*(\#.*)?$  python 2, kotlin 0.5, scala 0.5
import          import\s+\($                                                  go 5
import          import\s+\w*\s*"[\w./-]+"$                                    go 3
import          import\s+(static\s+)?[\w.]+(\.\*)?;                           java 3
import          import\s+(.*\sfrom\s+)?['"][^'"]+['"];?                       javascript 3, typescript 2
import          import\s+type\s                                               typescript 5
import          import\s+(java|javax|kotlin|android|org|com)\.[\w.*]+$        kotlin 3, scala 1
import          import\s+(scala|akka)\.|import\s+[\w.]+\.(_|\{.*\})$          scala 4
import          import\s+(Foundation|UIKit|SwiftUI|XCTest|Combine)$           swift 6
import          import\s+(qualified\s+)?[A-Z][\w.]*(\s+(as|hiding)\s.*|\s*\(.*)$  haskell 3
import          import\s+['"](package|dart):                                  dart 6
if              if\s.*:\s*(\#.*)?$                                            python 2
if              if\s+(!\s+)?\[\[?\s                                           bash 3
if              if\s.*;\s*then$                                               bash 3
if              if\s.*\sthen$                                                 lua 2
elif            elif\s.*:                                                     python 3
elif            elif\s.*then|elif\s+\[                                        bash 3
elif            elif                                                          python 0.5
elsif           elsif\s*\(                                                    perl 3
elsif           elsif\s+[^(]                                                  ruby 3
elseif          elseif\s.*then                                                lua 3
else            else:                                                         python 1.5
else            else$                                                         ruby 0.5, bash 0.5, lua 0.5
for             for\s.*\sin\s.*:\s*(\#.*)?$                                   python 2.5
for             for\s+\w+\s+in\s.*;?\s*do$                                    bash 3
for             for\s+.*\sdo$                                                 lua 3
for             for\s+.*:=\s*range                                            go 5
for             for\s*\(\s*(var|let|const)\s                                  javascript 3
for             for\s+(my\s+)?[\$@]|foreach\s+(my\s+)?\$                      perl 3
for             for\s*\(.*\)\s*\{?$                                           c 0.5, java 0.5, cpp 0.5
for             for\s+\w+\s+in\s.*\{$                                         rust 1, swift 1
foreach         foreach\s*\(\s*\$.*\sas\s                                     php 5
foreach         foreach\s+(my\s+)?\$                                          perl 4
foreach         foreach\s*\(\s*(var|\w+)\s+\w+\s+in\s                         csharp 4
while           while\s.*:\s*$                                                python 2
while           while\s.*;\s*do$|while\s+\[|while\s+read                      bash 3
try             try:                                                          python 2
except          except(\s.*)?:                                                python 3
finally         finally:                                                      python 2
with            with\s.*:\s*$                                                 python 2
async           async\s+def\s                                                 python 4
async           async\s+(function|\(|\w+\s*\()                                javascript 2
return          return\s.*[^;{]$                                              python 0.2, ruby 0.1, go 0.1
return          return\b.*;  c 0.2, java 0.2, javascript 0.2, cpp 0.2, php 0.1
raise           raise\s+\w+(\(|$)                                             python 2, ruby 0.5
self            self\.\w+\s*=                                                 python 1, ruby 0.5
assert          assert\s                                                      python 0.7
pass            pass$                                                         python 3
print           print\(                                                       python 1, lua 0.5, swift 0.3
lambda          lambda\s                                                      python 1
function        function\s+\w*\s*\([^\$]*\)\s*\{                              javascript 2, php 0.5, r 0.1
function        function\s+\w+\s*\(.*\$.*\)                                   php 4
function        function\s+[\w.:]+\s*\([^{]*\)$                               lua 3
function        function\s+[\w-]+(\s*\(\))?\s*\{$                             bash 2
local           local\s+function\s                                            lua 6
local           local\s+[\w, ]+\s*=\s                                         lua 3
local           local\s+\w+(=\S*)?$                                           bash 3, lua 1
end             end[,;)]?$                                                    ruby 1, lua 1
end             end\)                                                         lua 2
const           const\s+[\w{}\[\], :]+\s*=\s*  javascript 2, typescript 1.5, go 0.3
const           const\s+\w+\s*:\s*[\w<>\[\]|]+\s*=                            typescript 3, rust 0.5
const           const\s+(struct\s+)?\w+\s+\*?\w+                              c 1, cpp 1
const           const\s+\($                                                   go 4
let             let\s+mut\s                                                   rust 5
let             let\s+\w+(\s*:\s*[\w<>&\[\]]+)?\s*=\s*.*;$  rust 1, javascript 1.5, typescript 1
let             let\s+\w+.*=\s*[^;]*[^;{(,]$                                  swift 1
var             var\s+\w+\s*=\s*.*[;,{(\[]$                                   javascript 2, csharp 0.5
var             var\s+\w+\s+[\w\[\]*.]+                                       go 2
var             var\s+\w+\s*:\s*[A-Z]\w*                                      swift 2, kotlin 1
var             var\s+\($                                                     go 3
val             val\s+\w+(\s*:\s*\w+.*)?\s*=                                  kotlin 2, scala 2
fun             fun\s+([\w<>.]+\.)?\w+\(.*\)                                  kotlin 5
data            data\s+class\s                                                kotlin 6
data            data\s+\w+.*=                                                 haskell 3
newtype         newtype\s                                                     haskell 5
instance        instance\s.*where                                             haskell 5
module          module\s+[\w.]+.*where$                                       haskell 6
module          module\s+[A-Z]\w*(::\w+)*$                                    ruby 3
module          module\s+\w+\s*[(;\#]                                         verilog 3
module          module\.exports                                               javascript 5
exports         exports\.\w+\s*=                                              javascript 4
export          export\s+(default|const|function|class|async|\{|\*)           javascript 3, typescript 2
export          export\s+(interface|type|enum|abstract|declare)\s             typescript 6
export          export\s+\w+=                                                 bash 3
interface       interface\s+\w+.*\{                                           typescript 2, java 1, csharp 0.5
declare         declare\s+(module|const|function|namespace|global)            typescript 6
declare         declare\s+-                                                   bash 4
readonly        readonly\s+\w+:                                               typescript 4
type            type\s+\w+(<.*>)?\s*=\s                                       typescript 2, haskell 1, rust 1
type            type\s+\w+\s+(struct|interface|func|map|\[\])                 go 6
package         package\s+\w+$                                                go 3, kotlin 0.5, scala 1
package         package\s+[\w.]+;                                             java 3
package         package\s+\w+(::\w+)*;                                        perl 3
package         package\s+\w+(\.\w+)+$                                        kotlin 3, scala 3
func            func\s+(\(.*?\)\s*)?\w+(\[.*\])?\(.*\).*\{                    go 4
func            func\s+\w+(<.*>)?\(.*\w+:\s.*\)                               swift 5
override        override\s+func\s                                             swift 6
override        override\s+(fun|val)\s                                        kotlin 6
override        override\s+(def|protected)\s                                  scala 4
guard           guard\s+(let|var)\s                                           swift 6
extension       extension\s+\w+.*\{                                           swift 3, dart 1
defer           defer\s+\w+.*\(                                               go 3
fn              fn\s+\w+                                                      rust 4, zig 1
pub             pub(\(\w+\))?\s+(fn|struct|enum|mod|use|trait|type|const)\s   rust 5
impl            impl(<.*>)?\s+\w+                                             rust 5
mod             mod\s+\w+\s*[;{]                                              rust 4
use             use\s+(strict|warnings|utf8|lib|base|parent|constant)\b       perl 6
use             use\s+[\w:]+(\s+(qw|['"\d]).*)?;                              perl 2, rust 1
use             use\s+(crate|std|super|self|core|alloc)::                     rust 6
use             use\s+\w+\\.*;                                                php 5
match           match\s.*\{$                                                  rust 1.5, scala 0.5
trait           trait\s+\w+                                                   scala 1.5, rust 1.5
object          object\s+\w+.*\{                                              scala 4, kotlin 1
case            case\s+class\s                                                scala 6
case            case\s.*=>                                                    scala 2
case            case\s.*\sin$                                                 bash 4
esac            esac                                                          bash 5
fi              fi$                                                           bash 4
done            done\b                                                        bash 3
then            then$                                                         bash 2
echo            echo\s+(-e\s|-n\s|"|\$|[A-Za-z*])[^;]*$                       bash 2
echo            echo\s.*;$                                                    php 2
set             set\s+-[eux]                                                  bash 5
set             set\(                                                         cmake 1.5
sub             sub\s+\w+\s*\{?$                                              perl 4
my              my\s+[\$@%(]                                                  perl 4
our             our\s+[\$@%]                                                  perl 5
use             use\s+v?5                                                     perl 5
1               1;$                                                           perl 3
__END__         __END__$                                                      perl 2, ruby 1
=head1          =head1\s                                                      perl 2, pod 2
=head2          =head2\s                                                      perl 2, pod 2
=item           =item\s                                                       perl 1, pod 1
require         require\s+['"]                                                ruby 2, lua 0.5
require         require\s*\(                                                  javascript 0.5, lua 0.5, php 0.5
require         require_relative\s|require\s+'\w+(/\w+)*'$                    ruby 4
require_relative require_relative                                              ruby 6
attr_reader     attr_reader                                                   ruby 6
attr_accessor   attr_accessor                                                 ruby 6
puts            puts\s                                                        ruby 3, tcl 2
unless          unless\s+[^({]                                                ruby 2
unless          unless\s*\(.*\)\s*\{                                          perl 3
begin           begin$                                                        ruby 2
rescue          rescue(\s|$)                                                  ruby 4
describe        describe\s.*\sdo$                                             ruby 4
it              it\s.*\sdo$                                                   ruby 3
#include        \#\s*include\s*[<"]                                           c 3, cpp 2.5
#include        \#\s*include\s*<(iostream|vector|string|memory|map|utility|cstd\w+)>  cpp 6
#include        \#\s*include\s*<(algorithm|functional|type_traits|sstream|array)>  cpp 6
#include        \#\s*include\s*[<"][\w/.-]+\.(hpp|hh|hxx)[>"]                 cpp 6
#define         \#\s*define\s+\w+                                             c 1.5, cpp 1
#ifndef         \#\s*ifndef\s                                                 c 1, cpp 1
#ifdef          \#\s*ifdef\s                                                  c 1, cpp 1
#endif          \#\s*endif                                                    c 1, cpp 1
#pragma         \#\s*pragma\s                                                 c 1, cpp 1.5
#import         \#import\s+[<"]                                               objectivec 6
@interface      @interface\s+\w+\s*(:|\()                                     objectivec 6
@implementation @implementation                                               objectivec 6
@property       @property\s*\(                                                objectivec 4
@end            @end$                                                         objectivec 4
#[              \#!?\[\w+                                                     rust 5
typedef         typedef\s                                                     c 3, cpp 1
struct          struct\s+\w+\s*\{?$                                           c 2, cpp 0.7, rust 0.5, go 0.2
struct          struct\s+\w+\s+\*?\w+.*[;,)]                                  c 3
struct          struct\s+\w+\s*:\s*(public\s+)?\w+                            cpp 3, swift 1.5
static          static\s+(inline\s+)?(const\s+)?(void|int|char|struct|unsigned|long)\b  c 2, cpp 1
static          static\s+(inline\s+)?(const\s+)?(bool|size_t|u?int\d+_t)\b    c 2, cpp 1
static          static\s+(constexpr|const\s+std)                              cpp 4
extern          extern\s+"C"                                                  cpp 3, c 0.5
extern          extern\s+(?!crate)\w+\s                                       c 2
extern          extern\s+crate                                                rust 6
int             int\s+\w+\s*(\(|=|;|\[)                                       c 1.5, cpp 1, java 0.5
void            void\s+\w+\s*\(                                               c 1.5, cpp 1, java 0.5
void            void\s+\w+::\w+                                               cpp 5
unsigned        unsigned\s+\w+                                                c 1.5, cpp 1
char            char\s+\*?\w+                                                 c 2, cpp 0.7
template        template\s*<                                                  cpp 6
namespace       namespace\s+[\w:]+\s*\{?$                                     cpp 3, csharp 1
namespace       namespace\s*\{                                                cpp 4
namespace       namespace\s+\w+\\.*;|namespace\s+\w+;                         php 4
namespace       namespace\s+\w+(\.\w+)+                                       csharp 5
using           using\s+namespace\s                                           cpp 6
using           using\s+\w+\s*=|using\s+\w+::                                 cpp 4
using           using\s+(static\s+)?[A-Z]\w*(\.\w+)*;                         csharp 4
public          public:|public\s*:$                                           cpp 4
private         private:|private\s*:$                                         cpp 4
protected       protected:|protected\s*:$                                     cpp 4
public          public\s+[\w<>\[\], ?]+[{(]   java 2, csharp 1.5
public          public\s+(static\s+)?(final|synchronized)\s                   java 3
public          public\s+(override|virtual|async|partial|readonly|sealed)\s   csharp 4
public          public\s.*\{\s*get;                                           csharp 6
public          public\s+(static\s+)?function\s                               php 6
private         private\s+(static\s+)?function\s|private\s+\$                 php 6
protected       protected\s+(static\s+)?function\s|protected\s+\$             php 6
private         private\s+(static\s+)?final\s                                 java 4
private         private\s+(static\s+)?[\w<>\[\]]+\s+\w+\s*[=;(]               java 2, csharp 1.5
private         private\s+(readonly|async)\s                                  csharp 3, typescript 1
@Override       @Override                                                     java 6
@Test           @Test                                                         java 3, kotlin 1
System          System\.(out|err)\.                                           java 4
Console         Console\.Write                                                csharp 6
$               \$\w+\s*=.*;$                                                 php 2, perl 1.5
$               \$this->                                                      php 5
$               \$\w+->                                                       perl 1, php 1
@               @\w+\s*=\s                                                    ruby 1.5, perl 0.3
@media          @media\s                                                      css 6
@import         @import\s                                                     css 3, objectivec 0.5
@charset        @charset\s                                                    css 6
@font-face      @font-face                                                    css 6
@keyframes      @keyframes                                                    css 6
<?php           <\?php                                                        php 9
<?xml           <\?xml\s                                                      xml 6
<!DOCTYPE       <!(?i:doctype)\s+html                                         html 8
<!doctype       <!doctype\s+html                                              html 8
<html           <html                                                         html 6
<head           <head                                                         html 3
<body           <body                                                         html 4
<div            <div                                                          html 2
<p              <p[\s>]                                                       html 2
<script         <script                                                       html 2
<meta           <meta                                                         html 3
<link           <link                                                         html 2
<template       <template>                                                    vue 7
SELECT          (?i:select)\s                                                 sql 3
select          select\s.*\sfrom\s                                            sql 3
INSERT          (?i:insert)\s+into                                            sql 4
CREATE          (?i:create\s+(or\s+replace\s+)?(table|index|view|function|temp\w*|unique)\s)  sql 5
create          (?i:create\s+(or\s+replace\s+)?(table|index|view|function|temp\w*|unique)\s)  sql 5
CREATE          CREATE\s                                                      sql 3
DROP            DROP\s+\w+                                                    sql 4
ALTER           ALTER\s+\w+                                                   sql 4
UPDATE          UPDATE\s+\w+                                                  sql 2
FROM            FROM\s+[\w./:@-]+(\s+(AS|as)\s+\w+)?$                         dockerfile 4, sql 0.5
RUN             RUN\s                                                         dockerfile 4
COPY            COPY\s.*\s                                                    dockerfile 2
WORKDIR         WORKDIR\s                                                     dockerfile 6
ENTRYPOINT      ENTRYPOINT\s                                                  dockerfile 6
CMD             CMD\s                                                         dockerfile 4
.PHONY          \.PHONY\s*:                                                   makefile 8
ifeq            ifn?eq\s*\(                                                   makefile 6
include         include\s+\$\(                                                makefile 6
cmake_minimum_required cmake_minimum_required                                        cmake 9
add_executable  add_executable                                                cmake 6
target_link_libraries target_link                                                   cmake 6
\documentclass   \\documentclass  tex 6
\usepackage     \\usepackage\b  tex 4
\begin          \\begin\b  tex 4
\end            \\end\b  tex 4
\section        \\section\b  tex 4
\subsection     \\subsection\b  tex 4
\newcommand     \\newcommand\b  tex 4
\item           \\item\b  tex 4
\label          \\label\b  tex 4
\chapter        \\chapter\b  tex 4
diff            diff\s+(--git|-[ru])                                          diff 9
@@              @@\s+-\d+                                                     diff 5
(defun          \(defun\s                                                     emacs-lisp 2.5, common-lisp 3
(defvar         \(defvar\s                                                    emacs-lisp 2, common-lisp 1
(defcustom      \(defcustom\s                                                 emacs-lisp 6
(setq           \(setq\s                                                      emacs-lisp 3
(provide        \(provide\s+'                                                 emacs-lisp 6
(define         \(define(-syntax)?\s                                          scheme 5
(ns             \(ns\s                                                        clojure 7
(defn           \(defn-?\s                                                    clojure 7
(in-package     \(in-package                                                  common-lisp 8
library         library\(                                                     r 5
```             ```                                                           markdown 3
#               \#\s\S.*$  markdown 0.2
##              \#\#+\s\S                                                     markdown 1.5
*               \*\s+\S                                                       markdown 0.5
-               -\s+\[.*\]\(                                                  markdown 3
-               -\s+[\w-]+:(\s|$)                                             yaml 1.5
-               -\s+\S                                                        markdown 0.4, yaml 0.3
---             ---$                                                          yaml 0.7, markdown 0.3
..              \.\.\s+[\w:-]+::                                              restructuredtext 6
..              \.\.\s+_[\w .-]+:                                             restructuredtext 5
:               :\w+:\s                                                       restructuredtext 1.5
===             =====*$  restructuredtext 1.2, markdown 1, text 0.5
---             -----*$  markdown 0.7, restructuredtext 0.7, text 0.5
~~~             ~~~~*$                                                        restructuredtext 2, markdown 0.5
[               \[\[?[\w."' -]+\]\]?$                                         toml 1, ini 1
proc            proc\s+[\w:]+\s+\{                                            tcl 5
-module         -module\(                                                     erlang 9
require         (const|var|let)?\s*require\(['\"]  javascript 2
var             var\s+\w+\s*=\s*require\(  javascript 5
const           const\s+.*=\s*(await\s+)?require\(  javascript 5
"use            [\"']use strict[\"']  javascript 6
}               \}\)\(.*\);?$|\}\);$  javascript 1.5
endif           endif\s*\(  cmake 4
endfunction     end(function|macro|foreach)\s*\(  cmake 6
endmacro        endmacro\s*\(  cmake 6
find_package    find_package\s*\(  cmake 6
if              if\s*\((NOT\s|.*\s(STREQUAL|MATCHES|AND|VERSION_LESS)\s)  cmake 4
function        function\s*\(\w+(\s\w+)*\)$  cmake 3
message         message\s*\(\s*(STATUS|FATAL_ERROR|WARNING|\")  cmake 3
set             set\s*\(\w+\s  cmake 2
"""

# These are tried on every line, so they are few.
_ANYWHERE = r"""
[\w.]+\s+<-\s                                                    r 2
\w+\s*<-\s*function\(                                            r 5
[\w-]+\(\)\s*\{$                                                 bash 3
\w+=(\$\(|"\$|\$\{|`)                                            bash 2
[A-Za-z_][\w.-]*:(\s+[^{};]*)?$                                  yaml 1
[A-Za-z_][\w.-]*\s=\s(".*"|\[.*|true|false|\d+)$                 toml 1.2, ini 0.3, python 0.2
[A-Za-z_][\w. -]*\s?=\s?[^=;(){}"]*$                             ini 0.7
[.\#]?[\w-]+([ .:>,\#][\w .:>,\#()-]*)?\s*\{$                    css 0.7
[a-z-]+:\s*[^;{}()]+;$                                           css 1.2
[\w$./%()-]+\s*:[\w$./%()\s-]*$                           makefile 0.3
[A-Z_]+\s*[:?+]?=\s                                              makefile 0.7
[a-z]\w*\s+::\s                                                  haskell 4
\w+\s*:=\s                                                       go 3
.*\bstd::\w                                                      cpp 2
.*\w::\w+\(.*\)\s*(const\s*)?\{?$                                cpp 1
.*->\w+.*;$                                                      c 0.7, cpp 0.5, php 0.2
.*\w[?)]?:\s*(string|number|boolean|void|any)\b.*[;,){=]  typescript 1.5
.*=>\s*[{(]?                                                     javascript 0.7, typescript 0.5, ruby 0.3
.*\sdo\s*\|.*\|$                                                 ruby 4
.*(===|!==)                                                      javascript 1, typescript 0.5, php 0.3
.*\b(document|window|console)\.\w                                javascript 2
.*\[[^\]]+\]\([^)]+\)                                            markdown 1.5
.*``[^`]+``                                                      restructuredtext 1
.*::$                                                            restructuredtext 1
"""


def _points(text: str) -> tuple[tuple[str, float], ...]:
    return tuple((name, float(points)) for name, points in (part.split() for part in text.split(", ")))


def _split(line: str) -> tuple[str, str]:
    """Cut a row of the tables into its pattern and its points."""
    pattern, _, points = re.sub(r"\s{2,}(?=[a-z-]+ [\d.]+(, |$))", "\0", line.strip()).partition("\0")
    return pattern, points


Mark = tuple[re.Pattern[str], tuple[tuple[str, float], ...]]
BY_FIRST_WORD: dict[str, list[Mark]] = defaultdict(list)
"""Patterns by a line's first word, with the points that they give."""
for _line in _MARKS.strip().splitlines():
    _word, _rest = _line.split(None, 1)
    _pattern, _given = _split(_rest)
    BY_FIRST_WORD[_word].append((re.compile(_pattern), _points(_given)))

ANYWHERE: list[Mark] = []
"""Patterns for every line, with the points that they give."""
for _line in _ANYWHERE.strip().splitlines():
    _pattern, _given = _split(_line)
    ANYWHERE.append((re.compile(_pattern), _points(_given)))
