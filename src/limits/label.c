/*
 * label.c
 *		See label.h.
 */
#include "limits/label.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define UUID_TEXT_LENGTH 36

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool
is_dash_place(int i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* Only the form that unpacking gives back: lower case, with dashes. */
static bool
pack_uuid(const char *key, int length, char label[LABEL_SIZE])
{
	int			digits = 0;

	if (length != UUID_TEXT_LENGTH)
		return false;
	for (int i = 0; i < length; i++)
	{
		int			digit = hex_digit(key[i]);

		if (is_dash_place(i))
		{
			if (key[i] != '-')
				return false;
			continue;
		}
		if (digit < 0)
			return false;
		if (digits % 2 == 0)
			label[digits / 2] = (char) (digit << 4);
		else
			label[digits / 2] = (char) (label[digits / 2] | digit);
		digits++;
	}
	return true;
}

uint32_t
limit_label_pack(const char *key, int length, char label[LABEL_SIZE])
{
	if (pack_uuid(key, length, label))
		return LABEL_UUID | 16 << 8;
	if (length <= LABEL_SIZE)
	{
		memcpy(label, key, length);
		return (uint32_t) length << 8;
	}
	memcpy(label, key, LABEL_SIZE);
	return LABEL_CUT | LABEL_SIZE << 8;
}

int
limit_label_unpack(const char label[LABEL_SIZE], uint32_t bits, char text[LABEL_TEXT_SIZE])
{
	int			length = (int) LABEL_LENGTH(bits);
	int			written = 0;

	if (!(bits & LABEL_UUID))
	{
		length = length <= LABEL_SIZE ? length : LABEL_SIZE;
		memcpy(text, label, length);
		return length;
	}
	for (int i = 0; i < 16; i++)
	{
		if (is_dash_place(written))
			text[written++] = '-';
		snprintf(text + written, LABEL_TEXT_SIZE - written, "%02x", (unsigned char) label[i]);
		written += 2;
	}
	return written;
}
