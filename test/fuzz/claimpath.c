/* link: src/access/claimpath.c */
/*
 * claimpath.c
 *		Any path: nothing is read behind its end or written behind the buffer's, and
 *		the steps, written down in quotes again, are the same steps.
 */
#include "bytes.h"

#include "access/claimpath.h"

/* "a"."b""c": twice the bytes of a step, two quotes and a dot each. */
static size_t
write_down(const ClaimPath *path, char *text)
{
	char	   *out = text;

	for (int i = 0; i < path->n; i++)
	{
		if (i > 0)
			*out++ = '.';
		*out++ = '"';
		for (const char *in = path->steps[i]; *in != '\0'; in++)
		{
			if (*in == '"')
				*out++ = '"';
			*out++ = *in;
		}
		*out++ = '"';
	}
	return out - text;
}

static void
must_be_same(const ClaimPath *a, const ClaimPath *b)
{
	must(a->n == b->n);
	for (int i = 0; i < a->n; i++)
		must(strcmp(a->steps[i], b->steps[i]) == 0);
}

static void
must_come_back(const ClaimPath *path, size_t length)
{
	char	   *text = malloc(2 * length + 3 * (CLAIM_PATH_MAX_STEPS + 1));
	size_t		text_length = write_down(path, text);
	char	   *copy = bytes_copy(text, text_length);
	char	   *buffer = malloc(2 * text_length + 1);
	ClaimPath	again;

	must(claim_path_parse(copy, text_length, buffer, &again) == NULL);
	must_be_same(path, &again);
	free(buffer);
	free(copy);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *path = bytes_copy(data, size);
	char	   *buffer = malloc(2 * size + 1);
	ClaimPath	result;
	const char *fault = claim_path_parse(path, size, buffer, &result);

	if (fault != NULL)
		must(fault[0] != '\0');
	else
	{
		must(result.n >= 1 && result.n <= CLAIM_PATH_MAX_STEPS);
		for (int i = 0; i < result.n; i++)
			must(result.steps[i] >= buffer &&
				 result.steps[i] + strlen(result.steps[i]) < buffer + 2 * size + 1);
		must_come_back(&result, size);
	}
	free(buffer);
	free(path);
	return 0;
}
