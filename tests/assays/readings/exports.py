"""Files as the programs of plate readers and cell counters write them, with values of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from openpyxl import Workbook

ROWS, COLUMNS = "ABCDEFGH", range(1, 13)
Values = Mapping[str, object]
NUMBERS = "\t".join(str(column) for column in COLUMNS)


def plate(values: Values, row: str, separator: str) -> str:
    return separator.join(str(values.get(f"{row}{column}", "")) for column in COLUMNS)


def softmax(path: Path, main: Values, reference: Values, *, name: str = "P-17") -> None:
    head = f"Plate:\t{name}\t1.3\tPlateFormat\tEndpoint\tAbsorbance\tRaw\tFALSE\t1" + "\t" * 6
    lines = ["##BLOCKS= 1", f"{head}2\t490 680 \t1\t12\t96\t1\t8\t", f"\tTemperature(°C)\t{NUMBERS}\t\t{NUMBERS}"]
    for row in ROWS:
        warmth = "23.5" if row == "A" else ""
        lines.append(f"\t{warmth}\t{plate(main, row, chr(9))}\t\t{plate(reference, row, chr(9))}")
    lines += ["", "~End", "Original Filename: run; Date Last Saved: 11/23/2026 2:04:05 PM", ""]
    path.write_text("\n".join(lines), encoding="utf-16")


def softmax_kinetic(path: Path, at: Mapping[str, Values]) -> None:
    """`at` maps a time such as `00:10:00` to the values of the whole plate."""
    head = "Plate:\tP-17\t1.3\tPlateFormat\tKinetic\tFluorescence\tTRUE\tRaw\tFALSE\t"
    optics = "1\t530 \t1\t12\t96\t485 \tManual\t515 \t\t\t6\tMedium\t\t\t1\t8"
    lines = ["##BLOCKS= 1", f"{head}{len(at)}\t1200\t600\t\t\t\t{optics}"]
    lines.append(f"Time\tTemperature(°C)\t{NUMBERS}\t")
    for time, values in at.items():
        lines += [f"{time if row == 'A' else ''}\t37\t{plate(values, row, chr(9))}\t" for row in ROWS]
        lines.append("")
    lines += ["~End", "Original Filename: run; Date Last Saved: 11/23/2026 2:04:05 PM", ""]
    path.write_text("\n".join(lines), encoding="utf-16")


def gen5(path: Path, main: Values, reference: Values) -> None:
    head = """Software Version\t3.12.08



Experiment File Path:\tC:\\assays\\killing.xpt
Protocol File Path:\tC:\\assays\\ldh.prt



Plate Number\tPlate 1
Date\t11/23/2026
Time\t2:04:05 PM
Reader Type:\tSynergy H1
Reader Serial Number:\t21031716
Reading Type\tReader

Procedure Details

Plate Type\t96 WELL PLATE (Use plate lid)
Eject plate on completion
Read\tAbsorbance Endpoint
\tFull Plate
\tWavelengths:  490, 680
\tRead Speed: Normal,  Delay: 100 msec,  Measurements/Data Point: 8

Results
"""
    lines = [f"\t{NUMBERS}"]
    for row in ROWS:
        lines += [f"{row}\t{plate(main, row, chr(9))}\t490", f"\t{plate(reference, row, chr(9))}\t680"]
    path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


def mars(path: Path, values: Values, *, heading: str = "Raw Data (490)") -> None:
    head = f"""User: USER,Path: C:\\data,Test run no.: 445
Test name: LDH,Date: 11/23/2026,Time: 2:04:05 PM

ID1: P-17,ID2: day 35,ID3: x,
Absorbance

{heading}

,{",".join(map(str, COLUMNS))}
"""
    path.write_text(head + "".join(f"{row},{plate(values, row, ',')}\n" for row in ROWS), encoding="utf-8")


def envision(path: Path, values: Values) -> None:
    columns = ",".join(f"{column:02d}" for column in COLUMNS)
    grid = "\n".join(f"{row},{plate(values, row, ',')}," for row in ROWS)
    empty = "\n".join(row + ",- " * 12 for row in ROWS)
    path.write_text(
        f"""Plate information
Plate,Repeat,Barcode,Measured height,Chamber temperature at start,Chamber temperature at end,Humidity at start,\
Humidity at end,Ambient temperature at start,Ambient temperature at end,Group,Label,ScanX,ScanY,Measinfo,Kinetics,\
Measurement date,
1,1,="P-17",14.35,22.00,22.10,42.0,41.5,22.5,22.6,1,A490(1),0,0,De=1st Ex=Btm Em=N/A Wdw=N/A (8),0,\
11/23/2026 2:04:05 PM,

Background information
Plate,Label,Result,Signal,Flashes/Time,Meastime,MeasInfo,
1,A490,0,295000,300,00:00:00.000,De=1st Ex=Btm Em=N/A Wdw=N/A (8),

Results for A490(1) - channel 1 (A)
,{columns},
{grid}

Basic assay information
Assay ID: ,,,,101
Assay Started: ,,,,11/23/2026 2:00:00 PM
Assay Finished: ,,,,N/A
Assay Exported: ,,,,11/23/2026 2:10:00 PM
Protocol ID: ,,,,100250
Protocol Name: ,,,,LDH
Serial#: ,,,,="1050242"



Protocol information
Protocol:
Protocol name,,,,LDH
Number of assay repeats,,,,1

Plate type:
Name of the plate type,,,,96 General
Number of rows,,,,8
Number of columns,,,,12
Number of the wells in the plate,,,,96
Height of the plate,,,,14.35 mm

Platemap:
Plate,,,,1
Group,,,,1

,{columns},
{empty}

 - - Undefined

Calculations:
No calculations.

Labels:
A490,,,,2000014
Exc. filter,,,,P490
Measurement height,,,,13 mm
Number of flashes,,,,300
Number of flashes integrated,,,,1
Reference AD gain,,,,1
Last edited,,,,11/20/2026 10:00:00 AM

Filters:
P490,,,,216
Filter type,,,,Emission
Description,,,,CWL=490nm BW=10nm Tmin=60%
Last edited,,,,11/20/2026 9:50:00 AM

Instrument:
Serial number,,,,1050242
Nickname,,,,EnVision

Exported with EnVision Workstation version 1.14.3049.1642
""",
        encoding="utf-8",
    )


def magellan(path: Path, values: Values) -> None:
    wells = [[f"{row}{column}", values.get(f"{row}{column}")] for row in ROWS for column in COLUMNS]
    about = [
        "Date of measurement: 2026-11-23/Time of measurement: 14:04:05",
        "C:\\methods\\ldh.mth",
        "C:\\data\\killing.wsp",
        "technician",
        "infinite M200",
        "Instrument serial number: 1005000171",
        "Measurement mode: Absorbance",
        "Measurement wavelength: 490 nm",
        "Number of flashes: 25",
        "Plate definition file: P-17.pdfx",
        "Unit: OD",
        "Meas. temperature: Label1: 25.3 °C",
        "End of report",
    ]
    book({"Sheet1": [["Well positions", "Label1", " ", "  "], *wells, *([line] for line in about)]}, path)


def skanit(path: Path, values: Values) -> None:
    grid = [[row, *(values.get(f"{row}{column}") for column in COLUMNS)] for row in ROWS]
    when = "11/23/2026 2:04:05 PM"
    book(
        {
            "Absorbance 1_01": [
                *([["LDH.skax"], [when], [], ["Absorbance 1"], ["Wavelength: 490 nm"], ["Plate 1"], []]),
                ["Abs", *COLUMNS],
                *grid,
            ],
            "Session information": [
                ["Session information"],
                ["Session name", "LDH.skax"],
                ["Execution time", when],
            ],
            "Instrument information": [
                ["Instrument information", "", ""],
                ["Name", "", "Varioskan LUX"],
                ["", "Serial number", "3020-81776"],
            ],
            "General information": [
                ["General information", ""],
                ["Report generated with SW version", "SkanIt Software 6.1 RE for Microplate Readers RE, ver. 6.1.0.51"],
            ],
        },
        path,
    )


def opentrons(path: Path, values: Values) -> None:
    empty = [row + "," * 12 for row in ROWS]
    head = "," + ",".join(map(str, COLUMNS))
    lines = [head, *(f"{row},{plate(values, row, ',')}" for row in ROWS), "", "", "", head, *empty, "", "", ""]
    lines += [",ID,Well,Absorbance (OD),Mean Absorbance (OD),Absorbance %CV", "", "", "", "Protocol", "Assay"]
    lines += ["Sample Wavelength (nm),490", "Serial No.,abs-123", "Measurement started at,11 23 14:04:05 2026"]
    lines += ["Measurement finished at,11 23 14:04:35 2026", ""]
    path.write_text("\r\n".join(lines), encoding="utf-8")


def vi_cell_blu(path: Path, *, viability: str = "93.3", viable: str = "1.25", total: str = "1.34") -> None:
    path.write_text(
        "Sample ID,Analysis date/time,Viability (%),Viable (x10^6) cells/mL,Total (x10^6) cells/mL\n"
        f"arm-1/U1,11/23/2026 14:04:05,{viability},{viable},{total}\n",
        encoding="utf-8",
    )


def vi_cell_xr(path: Path) -> None:
    lines = ["Vi-CELL XR 2.06.3", "Sample ID :arm-1/U1", "File name :x.txt", "Sample date :23 Nov 2026  02:04:05 PM"]
    lines += ["Cell type :NK", "Dilution factor :2.0", "Unit S/N :AL27171", "Images :50", "Total cells :1340"]
    lines += ["Viable cells :1250", "Viability (%) :93.3", "Total cells / ml (x 10^6) :1.34"]
    lines += [
        "Total viable cells / ml (x 10^6) :1.25",
        "Average diameter (microns) :9.1",
        "Average circularity :0.9",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def nucleoview(path: Path) -> None:
    lines = ["Viability and Cell Count Assay; ;", "Image;20261123-0002-c-arm1;", "Operator;Ada;", "Viability (%);93.3;"]
    lines += ["Live (cells/ml);1.25E6;", "Dead (cells/ml);9.0E4;", "Total (cells/ml);1.34E6;", "; ;"]
    lines += ["Estimated cell diameter (um);9.1;", "Cell diameter standard deviation (um);2.2;"]
    lines += ["(%) of cells in aggregates with five or more cells;5;", "Sample Volume (ul);200.0;"]
    lines += ["Dilution Volume (ul);0.000;", "Multiplication factor;1.000;", *[";"] * 13, "cm filename;x.cm"]
    lines += ["Instrument type;NucleoView NC-200", "Instrument s/n;s/n 900020", "Date time;20261123 140405"]
    lines += ["Time zone offset;1", "Login ID;admin", "PC;PC-1", "Application SW version;1.4.0.0"]
    lines += ["21 CFR Part 11;disabled", "Event log format;Plain text", "csv file version;2", "", "//[25FDBA08]"]
    path.write_text("\n".join(lines), encoding="utf-8")


def book(sheets: Mapping[str, Iterable[Iterable[object]]], path: Path) -> None:
    made = Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    made.save(path)
