/* Dates as HTTP writes them, whatever the locale. See http_date.h. */
#include "net/http_date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { LONGEST = 40 }; /* "Wednesday, 09-Nov-94 08:49:37 GMT" and room */

static const int64_t first = -62135596800; /* of the year 1 */
static const int64_t last = 253402300799;  /* of the year 9999 */

void http_date_format(char to[HTTP_DATE_SIZE], int64_t seconds)
{
	time_t t = seconds < first ? first : seconds > last ? last : seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(to, HTTP_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		 days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100,
		 months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100);
}

static int month_of(const char *name)
{
	for (int i = 0; i < 12; i++) {
		if (memcmp(name, months + 3 * i, 3) == 0)
			return i;
	}
	return -1;
}

static bool is_date(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* The year of two digits that is at most 50 years ahead. */
static int full_year(int year)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	year += (tm.tm_year + 1900) / 100 * 100;
	return year > tm.tm_year + 1900 + 50 ? year - 100 : year;
}

bool http_date_parse(struct http_text text, int64_t *ret_seconds)
{
	char s[LONGEST + 1], month[4] = "";
	struct tm tm = { 0 };
	int year = 0, end = 0, size = (int)text.size;

	if (text.size > LONGEST || text.size < 24 ||
	    memchr(text.data, '\0', text.size) != NULL)
		return false;
	memcpy(s, text.data, text.size);
	s[text.size] = '\0';
	if (sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
		   &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec, &end) == 6 &&
	    end == size) {
		tm.tm_mon = month_of(month);
	} else if (sscanf(s,
			  "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
			  &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
			  &tm.tm_sec, &end) == 6 &&
		   end == size) {
		tm.tm_mon = month_of(month);
		year = full_year(year);
	} else if (sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
			  month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
			  &tm.tm_sec, &year, &end) == 6 &&
		   end == size) {
		tm.tm_mon = month_of(month);
	} else {
		return false;
	}
	tm.tm_year = year - 1900;
	/* %d takes a sign, too. */
	if (strchr(s, '+') != NULL || year < 0 || tm.tm_hour < 0 ||
	    tm.tm_min < 0 || tm.tm_sec < 0 || !is_date(&tm))
		return false;
	*ret_seconds = timegm(&tm);
	return true;
}
