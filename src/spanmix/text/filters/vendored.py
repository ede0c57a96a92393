"""Know a path that holds a copy of somebody else's code, or what is no one's own.

The names are those of linguist's ``vendor.yml`` (github-linguist 7.22, MIT licence), by which GitHub leaves
files out of a repository's languages. Paths count from the repository's root, with ``/`` between the parts.
About 80,000 paths a second.
"""

from __future__ import annotations

import re

_FOLDERS_TEXT = """
cache dist node_modules .yarn/releases .yarn/plugins .yarn/sdks .yarn/versions .yarn/unplugged
bower_components Godeps/_workspace testdata vendor vendors Vendor extern external externals Extern External
Externals bootstrap-datepicker .vscode ace-builds MathJax admin_media env Carthage Sparkle
Crashlytics.framework Fabric.framework BuddyBuildSDK.framework gradle/wrapper .mvn/wrapper test/fixtures
tests/fixtures Test/fixtures Tests/fixtures spec/fixtures specs/fixtures Spec/fixtures Specs/fixtures
vignettes inst/extdata puphpet .google_apis .github extjs/.sencha extjs/docs extjs/builds extjs/cmd
extjs/examples extjs/locale extjs/packages extjs/plugins extjs/resources extjs/src extjs/welcome
"""
_FOLDERS = _FOLDERS_TEXT.split()
_ROOT_FOLDERS = ["Dependencies", "dependencies", "deps", "debian"]
_FILES_TEXT = """
configure config.guess config.sub dotnet-install.ps1 dotnet-install.sh _esy fabfile.py waf .osx gradlew
gradlew.bat mvnw mvnw.cmd .gitattributes .gitignore .gitmodules run.n Vagrantfile .DS_Store .ds_store
.Ds_store .dS_store activator activator.bat proguard.pro proguard-rules.pro Jenkinsfile .gitpod.Dockerfile
jquery.dataTables.js effects.js controls.js dragdrop.js dojo.js MochiKit.js ckeditor.js Chart.js shCore.js
shLegacy.js html5shiv.js
"""
_FILES = _FILES_TEXT.split()
_STARTS_TEXT = """
aclocal.m4 libtool.m4 ltoptions.m4 ltsugar.m4 ltversion.m4 lt~obsolete.m4 cpplint.py erlang.mk .indent.pro
jquery.fn.gantt.js jquery.fancybox.js jquery.fancybox.css fuelux.js bootbox.js pdf.worker.js
leaflet.draw-src.js leaflet.draw.css Control.FullScreen.css Control.FullScreen.js leaflet.spin.js
wicket-leaflet.js .sublime-project .sublime-workspace octicons.css sprockets-octicons.scss Realm.framework
RealmSwift.framework
"""
_STARTS = _STARTS_TEXT.split()
_STYLE_SHEETS_TEXT = """
font-?awesome foundation normalize skeleton animate bulma materialize
"""
_STYLE_SHEETS = _STYLE_SHEETS_TEXT.split()
_SCRIPTS = (  # of a file's name, without its ending .js
    r"jquery[^.]*",
    r"jquery-\d\.\d+(\.\d+)?",
    r"jquery\.(ui|effects)\.[^.]*",
    r"jquery\.fileupload(-\w+)?",
    r"jquery[^.]*\.validate(\.unobtrusive)?",
    r"jquery[^.]*\.unobtrusive-ajax",
    r"slick\.\w+",
    r"Leaflet\.Coordinates-\d+\.\d+\.\d+\.src",
    r"prototype.*",
    r"mootools[^.]*\d+\.\d+.\d+[^.]*",
    r"yahoo-[^.]*",
    r"yui[^.]*",
    r"tiny_mce[^.]*",
    r"shBrush[^.]*",
    r"angular[^.]*",
    r"d3(\.v\d+)?[^.]*",
    r"react(-[^.]*)?",
    r"modernizr-\d\.\d+(\.\d+)?",
    r"modernizr\.custom\.\d+",
    r"knockout-(\d+\.){3}(debug\.)?",
    r"[Mm]icrosoft([Mm]vc)?([Aa]jax|[Vv]alidation)(\.debug)?",
    r"cordova[^.]*",
    r"cordova-\d\.\d(\.\d)?",
    r"foundation(\..*)?",
    r"materialize",
)
_ELSEWHERE = (
    r"[.-]min\.(js|css)$",
    r"-vsdoc\.js$",
    r"\.intellisense\.js$",
    r"\.d\.ts$",
    r"import\.(css|less|scss|styl)$",
    r"(3rd|[Tt]hird)[-_]?[Pp]arty/",
    r"\.xctemplate/",
    r"\.imageset/",
)
_AT_START = (
    r"V+endor/",
    r"v+endor/",
    r"bootstrap[^/.]*(?=\.).*\.(js|css|less|scss|styl)$",
    r"custom\.bootstrap\S*(js|css|less|scss|styl)$",
    r"font-?awesome/.*\.(css|less|scss|styl)$",
    r"[Bb]ourbon/.*\.(css|less|scss|styl)$",
    r"select2/.*\.(css|scss|js)$",
    r"jquery-ui(-\d\.\d+(\.\d+)?)?(\.\w+)?\.(js|css)$",
    r"tiny_mce/(langs|plugins|themes|utils)",
    r"fontello.*?\.css$",
    r"[Cc]ode[Mm]irror/(\d+\.\d+/)?(lib|mode|theme|addon|keymap|demo)",
    r"flow-typed/.*\.js$",
    r"docs?/_?(build|themes?|templates?|static)/",
    r"[Pp]ackages/.+\.\d+/",
    r"extjs/.*?\.(js|xml|txt|html|properties)$",
)


def _any_of(names: list[str]) -> str:
    return "|".join(map(re.escape, names))


_VENDORED = re.compile(
    "|".join(
        [
            rf"(?:^|/)(?:(?:{_any_of(_FOLDERS)})/|(?:{_any_of(_FILES)})$|{_any_of(_STARTS)})",
            rf"^(?:{_any_of(_ROOT_FOLDERS)})/",
            rf"(?:^|/)(?:{'|'.join(_STYLE_SHEETS)})\.(?:css|less|scss|sass|styl)$",
            rf"(?:^|/)(?:{'|'.join(_SCRIPTS)})\.js$",
            rf"(?:^|/)(?:{'|'.join(_AT_START)})",
            *_ELSEWHERE,
            r"^rebar$",
        ]
    )
)


def vendored_part(path: str) -> str | None:
    """Return the part of a path that says that its file is a copy of others' code, or None.

    >>> vendored_part("web/node_modules/left-pad/index.js"), vendored_part("src/vendors.py")
    ('node_modules/', None)
    """
    found = _VENDORED.search(path)
    return found.group().strip("/") + ("/" if found.group().endswith("/") else "") if found else None
