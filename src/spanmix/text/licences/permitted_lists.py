"""Which SPDX ids the two named lists of permitted licences hold."""

from __future__ import annotations

_BLUE_OAK = """
    0BSD AAL Adobe-2006 ADSL AFL-1.1 AFL-1.2 AFL-2.0 AFL-2.1 AFL-3.0 Afmparse AMDPLPA AML AMPAS
    ANTLR-PD ANTLR-PD-fallback Apache-1.0 Apache-1.1 Apache-2.0 APAFML Artistic-1.0 Artistic-1.0-cl8
    Artistic-1.0-Perl Artistic-2.0 Bahyph Barr bcrypt-Solar-Designer Beerware blessing BlueOak-1.0.0
    Borceux BSD-1-Clause BSD-2-Clause BSD-2-Clause-Darwin BSD-2-Clause-FreeBSD BSD-2-Clause-NetBSD
    BSD-2-Clause-Patent BSD-2-Clause-Views BSD-3-Clause BSD-3-Clause-Attribution BSD-3-Clause-Clear
    BSD-3-Clause-HP BSD-3-Clause-LBNL BSD-3-Clause-Modification BSD-3-Clause-No-Nuclear-License-2014
    BSD-3-Clause-No-Nuclear-Warranty BSD-3-Clause-Open-MPI BSD-3-Clause-Sun BSD-4-Clause
    BSD-4-Clause-Shortened BSD-4-Clause-UC BSD-Source-Code BSL-1.0 bzip2-1.0.5 bzip2-1.0.6 CC0-1.0
    CECILL-B CFITSIO check-cvs ClArtistic Clips CNRI-Jython CNRI-Python CNRI-Python-GPL-Compatible
    Condor-1.1 Crossword CrystalStacker Cube curl diffmark DOC DSDP ECL-1.0 ECL-2.0 EFL-1.0 EFL-2.0
    eGenix Entessa Fair FSFAP FSFUL FSFULLR FTL fwlw Giftware GLWTPL hdparm HPND HPND-export-US
    HPND-Fenneberg-Livingston HPND-sell-regexpr HTMLTIDY IBM-pibs ICU IJG IJG-short ImageMagick
    Info-ZIP Intel Intel-ACPI ISC Jam JasPer-2.0 Kazlib Leptonica Libpng libpng-2.0 libtiff
    Linux-OpenIB LPL-1.0 LPL-1.02 LPPL-1.3c LZMA-SDK-9.22 McPhee-slideshow MirOS MIT MIT-0
    MIT-advertising MIT-CMU MIT-enna MIT-feh MIT-Modern-Variant MIT-open-group MIT-testregex MIT-Wu
    MITNFA mpich2 MS-PL MTLL MulanPSL-1.0 MulanPSL-2.0 Multics Mup NAIST-2003 NASA-1.3 Naumen
    NBPL-1.0 NCSA Net-SNMP NetCDF Newsletr NICTA-1.0 NIST-Software NLPL NRL NTP NTP-0 OFFIS
    OGL-Canada-2.0 OGTSL OLDAP-1.1 OLDAP-1.2 OLDAP-1.3 OLDAP-1.4 OLDAP-2.0 OLDAP-2.0.1 OLDAP-2.1
    OLDAP-2.2 OLDAP-2.2.1 OLDAP-2.2.2 OLDAP-2.3 OLDAP-2.4 OLDAP-2.5 OLDAP-2.6 OLDAP-2.7 OLDAP-2.8
    OML OpenSSL PHP-3.0 PHP-3.01 Plexus PostgreSQL PSF-2.0 psutils Python-2.0 python-ldap Qhull
    Rdisc RSA-MD Ruby Saxpath SGI-B-2.0 SHL-0.5 SMLNJ snprintf Spencer-86 Spencer-94 Spencer-99
    SSH-short SunPro SWL Symlinks TCL TCP-wrappers TU-Berlin-1.0 TU-Berlin-2.0 UCAR Unicode-DFS-2015
    Unicode-DFS-2016 UnixCrypt Unlicense UPL-1.0 Vim VSL-1.0 W3C W3C-19980720 W3C-20150513 Wsuipa
    WTFPL X11 Xerox Xfig XFree86-1.1 xinetd xlock Xnet xpp XSkat Zed Zend-2.0 Zlib
    zlib-acknowledgement ZPL-1.1 ZPL-2.0 ZPL-2.1
"""
_SCANCODE = """
    3D-Slicer-1.0 Abstyles AdaCore-doc Adobe-Display-PostScript Adobe-Glyph Adobe-Utopia AMD-newlib
    AML-glslang App-s2p Aspell-RU Baekmuk Bitstream-Charter Bitstream-Vera Boehm-GC
    Boehm-GC-without-fee Brian-Gladman-2-Clause Brian-Gladman-3-Clause BSD-2-Clause-first-lines
    BSD-2-Clause-pkgconf-disclaimer BSD-3-Clause-acpica BSD-3-Clause-flex BSD-4.3RENO BSD-4.3TAHOE
    BSD-Advertising-Acknowledgement BSD-Attribution-HPND-disclaimer BSD-Inferno-Nettverk
    BSD-Source-beginning-file BSD-Systemics BSD-Systemics-W3Works Caldera-no-preamble Catharon
    CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-2.5-AU CC-BY-3.0 CC-BY-3.0-AT CC-BY-3.0-AU CC-BY-3.0-DE
    CC-BY-3.0-IGO CC-BY-3.0-NL CC-BY-3.0-US CC-BY-4.0 CC-PDDC CC-PDM-1.0 CDLA-Permissive-1.0
    CDLA-Permissive-2.0 CERN-OHL-1.1 CERN-OHL-1.2 CERN-OHL-P-2.0 checkmk CMU-Mach CMU-Mach-nodoc
    COIL-1.0 Community-Spec-1.0 Cornell-Lossless-JPEG Cronyx CryptoSwift cve-tou DEC-3-Clause
    DL-DE-BY-2.0 DL-DE-ZERO-2.0 DocBook-DTD DocBook-Schema DocBook-Stylesheet DocBook-XML Dotseqn
    DRL-1.0 DRL-1.1 dtoa dvipdfm EPICS etalab-2.0 EUDatagrid FBM Ferguson-Twofish FreeBSD-DOC
    FSFAP-no-warranty-disclaimer FSFULLRSD FSFULLRWD Furuseth Game-Programming-Gems GD generic-xts
    Glulxe Graphics-Gems gtkbook Gutmann HaskellReport HDF5 HIDAPI HP-1986 HP-1989 HPND-DEC HPND-doc
    HPND-doc-sell HPND-export-US-modify HPND-export2-US HPND-INRIA-IMAG HPND-Intel
    HPND-Kevlin-Henney HPND-Markus-Kuhn HPND-merchantability-variant HPND-MIT-disclaimer HPND-Netrek
    HPND-Pbmplus HPND-sell-MIT-disclaimer-xserver HPND-sell-variant HPND-sell-variant-MIT-disclaimer
    HPND-sell-variant-MIT-disclaimer-rev HPND-UC IEC-Code-Components-EULA iMatix Inner-Net-2.0
    InnoSetup ISC-Veillard jove JPNIC JSON Kastrup Knuth-CTAN Latex2e Latex2e-translated-notice
    libpng-1.6.35 libselinux-1.0 libutil-David-Nugent LOOP LPD-document lsof Lucida-Bitmap-Fonts
    LZMA-SDK-9.11-to-9.20 Mackerras-3-Clause Mackerras-3-Clause-acknowledgment magaz mailprio
    man2html Martin-Birgmeier metamail Minpack MIPS MIT-Click MIT-Festival MIT-Khronos-old MMIXware
    MPEG-SSG mpi-permissive mplus MS-LPL NCBI-PD NCL ngrep NIST-PD NIST-PD-fallback NLOD-1.0
    NLOD-2.0 NTIA-PD O-UDA-1.0 OAR ODC-By-1.0 OFL-1.0 OFL-1.0-no-RFN OFL-1.0-RFN OFL-1.1-no-RFN
    OFL-1.1-RFN OGC-1.0 OGDL-Taiwan-1.0 OGL-UK-1.0 OGL-UK-2.0 OGL-UK-3.0 OLFL-1.3 OpenSSL-standalone
    OpenVision OPL-UK-3.0 OPUBL-1.0 PADL PDDL-1.0 Pixar pkgconf pnmstitch psfrag Python-2.0.1 radvd
    Ruby-pty SAX-PD SAX-PD-2.0 SCEA SchemeReport Sendmail Sendmail-Open-Source-1.1 SGI-B-1.1
    SGI-OpenGL SGP4 SHL-0.51 SL softSurfer Soundex ssh-keyscan SSH-OpenSSH SSLeay-standalone Sun-PPP
    Sun-PPP-2000 swrule TermReadKey ThirdEye threeparttable TPDL TrustedQSL TTWL TTYP0 ulem
    UMich-Merit Unicode-3.0 Unlicense-libtelnet Unlicense-libwhirlpool w3m Widget-Workshop wwl
    X11-distribute-modifications-variant X11-swapped Xdebug-1.03 xkeyboard-config-Zinoviev xzoom
    Zeeff
"""

PERMISSIVE = frozenset(_BLUE_OAK.split())
"""The Blue Oak Council's permissive list, version 15, ratings model, gold, silver, bronze and lead."""

STACK = PERMISSIVE | frozenset(_SCANCODE.split())
"""The rule of The Stack v2 (Lozhkov et al., 2024): the Blue Oak list, and what ScanCode's licence database
calls permissive or public domain, as far as it has an SPDX id (the database of July 2025, SPDX list 3.27)."""

NAMED = {"permissive": PERMISSIVE, "stack": STACK}
