"""A language is found by a file's contents, and none is named that is not clear."""

import json
import random

import pytest

from spanmix.text.languages.detect import detect_language
from spanmix.text.languages.line_marks import ANYWHERE, BY_FIRST_WORD
from spanmix.text.languages.names import PROSE, language_name

SNIPPETS = {
    "python": "import os\nfrom sys import argv\n\n\nclass A(object):\n    def f(self, x):\n"
    "        return x\n",
    "ruby": "require 'json'\n\nmodule A\n  class B < C\n    attr_reader :x\n    def f\n"
    "      puts x\n    end\n  end\nend\n",
    "perl": "use strict;\nuse warnings;\nmy $x = shift;\nsub f {\n    my ($a) = @_;\n}\n1;\n",
    "php": "<?php\nnamespace A;\n\nclass B {\n    public function f() { return $this->x; }\n}\n",
    "javascript": "'use strict';\nconst a = require('a');\nfunction f(x) {\n  return x === 1;\n}\n"
    "module.exports = f;\n",
    "typescript": "import { A } from './a';\nexport interface B {\n  name: string;\n}\n"
    "export type C = number | B;\n",
    "java": "package a.b;\n\nimport java.util.List;\n\npublic class A {\n    @Override\n"
    "    public String f() { return x; }\n}\n",
    "csharp": "using System;\nusing System.Linq;\nnamespace A.B\n{\n    public class C\n    {\n"
    "        public int X { get; set; }\n    }\n}\n",
    "c": "#include <stdio.h>\n#include <stdlib.h>\n\ntypedef struct node node;\n"
    "static int f(char *x) {\n    return x->y;\n}\n",
    "cpp": "#include <vector>\n#include <iostream>\nnamespace a {\ntemplate <class T>\n"
    "std::vector<T> f() {}\n}\n",
    "go": "package main\n\nimport (\n\t\"fmt\"\n)\n\nfunc main() {\n\tx := 1\n\tfmt.Println(x)\n}\n",
    "rust": "use std::fmt;\n\npub struct A;\nimpl A {\n    pub fn f(&self) -> u8 {\n"
    "        let mut x = 1;\n        x\n    }\n}\n",
    "kotlin": "package a.b\n\nimport android.os.Bundle\n\ndata class A(val x: Int)\n"
    "fun f(x: Int): Int {\n    val y = x\n    return y\n}\n",
    "swift": "import UIKit\n\nclass A: B {\n    override func f() {\n"
    "        guard let x = y else { return }\n    }\n}\n",
    "scala": "package a.b\n\nimport scala.util.Try\n\ncase class A(x: Int)\nobject B extends App {\n"
    "  def f(x: Int): Int = x\n}\n",
    "lua": "local a = require 'a'\nlocal function f(x)\n  if x then\n    return 1\n  end\nend\nreturn f\n",
    "bash": "set -e\nif [ -f x ]; then\n  echo \"$x\"\nfi\nfor i in 1 2; do\n  echo $i\ndone\n",
    "sql": "CREATE TABLE a (\n  x int\n);\nINSERT INTO a VALUES (1);\nSELECT x FROM a;\n",
    "haskell": "module A where\n\nimport qualified Data.Map as M\n\ndata B = C | D\n"
    "f :: Int -> Int\nf x = x\n",
    "html": "<!DOCTYPE html>\n<html><head></head><body></body></html>\n",
    "xml": "<?xml version='1.0'?>\n<a><b/></a>\n",
    "css": "body {\n  color: red;\n  margin: 0;\n}\n@media print {\n  a { color: blue; }\n}\n",
    "yaml": "---\nname: a\nsteps:\n  - run: b\n  - uses: c\non:\n  push: d\n",
    "toml": "[package]\nname = \"a\"\nversion = \"1\"\n[dependencies]\nb = \"2\"\n",
    "markdown": "# Title\n\nA [link](http://x).\n\n```python\nx\n```\n\n## Two\n\n* a\n",
    "restructuredtext": "Title\n=====\n\n.. code-block:: python\n\n   x\n\n.. _label:\n\nSee ``x``::\n",
    "dockerfile": "FROM python:3.11\nWORKDIR /a\nCOPY . .\nRUN pip install x\nCMD [\"a\"]\n",
    "makefile": ".PHONY: all\nall: a.o\n\tcc a.o\n",
    "cmake": "cmake_minimum_required(VERSION 3.1)\nadd_executable(a a.c)\n",
    "tex": "\\documentclass{article}\n\\begin{document}\n\\end{document}\n",
    "r": "library(a)\nf <- function(x) {\n  y <- x\n  y\n}\n",
    "diff": "diff --git a/x b/x\n@@ -1 +1 @@\n",
    "emacs-lisp": "(defun f ()\n  (setq x 1))\n(defcustom a nil)\n(provide 'f)\n",
    "json": json.dumps({"a": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("language", SNIPPETS)
def test_a_language_is_found_by_its_lines(language):
    assert detect_language(SNIPPETS[language]) == language


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("#!/bin/sh", "bash"), ("#! /usr/bin/env -S python3.11 -u", "python"), ("#!/usr/bin/perl -w", "perl"),
        ("#!/usr/bin/env FOO=1 node", "javascript"), ("#!/usr/local/bin/ruby2.7", "ruby"), ("#!", ""),
        ("#!/usr/bin/env", ""), ("#!/opt/no-such", ""), ("# -*- mode: python; coding: utf-8 -*-", "python"),
        ("/* -*- C++ -*- */", "cpp"), ("# vim: set ft=sh ts=4 :", "bash"), ("; -*- coding: utf-8 -*-", ""),
    ],
)  # fmt: skip
def test_the_first_line_may_say_it(line, language):
    assert detect_language(line + "\n") == language


def test_what_is_not_clear_has_no_language():
    for text in ("", "\n", "hello", "x", "1 2 3", "{", "[", "{not json}", "\ufeff", "a\r\nb", "😀" * 1000):
        assert detect_language(text) == ""


def test_nested_brackets_are_no_error():
    assert detect_language("[" * 100_000) == ""
    assert detect_language("[" * 100 + "]" * 100) == "json"


def test_no_mix_of_lines_makes_it_fail_or_change_its_mind():
    choose = random.Random(5)
    lines = [line for text in SNIPPETS.values() for line in text.split("\n")]
    named = 0
    for _ in range(300):
        text = "\n".join(choose.choices(lines, k=choose.randrange(40)))
        found = detect_language(text)
        assert found == detect_language(text)
        named += bool(found)
    assert 20 < named < 290


def test_every_mark_gives_points_to_a_language_by_its_own_name():
    marks = [mark for group in BY_FIRST_WORD.values() for mark in group] + ANYWHERE
    assert len(marks) > 250
    for _, given in marks:
        for name, points in given:
            assert name == language_name(name) and 0 < points < 10


def test_a_language_has_one_name():
    for other, name in [
        ("C++", "cpp"),
        ("c-sharp", "csharp"),
        ("Shell", "bash"),
        ("F#", "fsharp"),
        ("TypeScript", "typescript"),
        ("Jupyter Notebook", "jupyter"),
        ("", ""),
    ]:
        assert language_name(other) == name
        assert language_name(name) == name
    assert all(language_name(name) == name for name in PROSE)


def test_of_two_that_are_as_likely_none_is_named():
    assert detect_language("elif x:\nelsif x\n") == ""
    assert detect_language("elif x:\n") == "python"
    assert detect_language("elsif x\n") == "ruby"
