#pragma once
// Places in the source are among the fields given; the header's macros would add this file's.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
