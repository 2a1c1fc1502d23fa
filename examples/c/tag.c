/* Tags texts, one on each line, or rows "feature:value ..." with -r:
 *
 *     cc -O2 -I "$(python -c 'import sklearn_xmr; print(sklearn_xmr.get_include())')" \
 *         tag.c -o tag -lm
 *     echo "a storm at sea" | ./tag model.xmr 5
 *
 * prints, for each line, the labels (names, where the model has them) with their scores. */
#define _POSIX_C_SOURCE 200809L
#define XMR_MODEL_IMPLEMENTATION
#include "xmr_model.h"

enum { MOST_LABELS = 1000, MOST_VALUES = 100000 };

static int64_t read_row(const char *line, int32_t *indices, float *values)
{
    int64_t n = 0;
    char *after;
    while (n < MOST_VALUES) {
        const long feature = strtol(line, &after, 10);
        if (after == line || *after != ':')
            break;
        indices[n] = (int32_t)feature;
        values[n++] = strtof(after + 1, &after);
        line = after;
    }
    return n;
}

static void print_ranked(const xmr_model *model, const xmr_ranked *best, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        size_t length;
        const char *name = xmr_label_name(model, best[i].label, &length);
        if (name)
            printf("%.*s", (int)length, name);
        else
            printf("%lld", (long long)best[i].label);
        printf("\t%.9g%s", best[i].score, i + 1 < n ? "\t" : "");
    }
    printf("\n");
}

int main(int n_arguments, char **arguments)
{
    const int of_rows = n_arguments > 1 && strcmp(arguments[1], "-r") == 0;
    char error[300], *line = NULL;
    static int32_t indices[MOST_VALUES];
    static float values[MOST_VALUES];
    static xmr_ranked best[MOST_LABELS];
    size_t room = 0;
    ssize_t length;
    xmr_model *model;
    long k;
    if (n_arguments < 2 + of_rows) {
        fprintf(stderr, "usage: %s [-r] MODEL [K]\n", arguments[0]);
        return 2;
    }
    k = n_arguments > 2 + of_rows ? strtol(arguments[2 + of_rows], NULL, 10) : 5;
    model = xmr_open(arguments[1 + of_rows], 1, error, sizeof error);
    if (!model || k < 1 || k > MOST_LABELS) {
        fprintf(stderr, "%s\n", model ? "K must be from 1 to 1000" : error);
        return 1;
    }
    while ((length = getline(&line, &room, stdin)) >= 0) {
        int64_t n;
        if (length && line[length - 1] == '\n')
            line[--length] = 0;
        n = of_rows
            ? xmr_rank_row(model, indices, values, read_row(line, indices, values), k, best,
                           error, sizeof error)
            : xmr_rank_text(model, line, (size_t)length, k, best, error, sizeof error);
        if (n < 0) {
            fprintf(stderr, "%s\n", error);
            return 1;
        }
        print_ranked(model, best, n);
    }
    free(line);
    xmr_close(model);
    return 0;
}
